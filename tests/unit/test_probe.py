"""What answers of a running release come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.check import GrpcCheck, HttpCheck
from model.probe import grpc_probes, passes, probes, shown, unknown_endpoint
from model.workload import Endpoint, Workload

HTTP = Endpoint(name="http", port=80)
ADMIN = Endpoint(name="admin", port=81)
RPC = Endpoint(name="rpc", type="gRPC", port=90)
UDP = Endpoint(name="dns", type="UDP", port=53)


def ask(
    *checks: HttpCheck, endpoints: tuple[Endpoint, ...] = (HTTP,), health_path: str = ""
) -> list[tuple[str, str, bool]]:
    found = probes(Workload(health_path=health_path), endpoints, checks)
    return [(probe.endpoint.name, probe.path, probe.falls_back) for probe in found]


def test_every_endpoint_is_asked_by_default_in_its_own_way() -> None:
    asked = ask(HttpCheck(), endpoints=(HTTP, ADMIN, RPC, UDP))
    assert asked == [("http", "/healthz", True), ("admin", "/healthz", True), ("rpc", "", False)]


def test_a_path_is_asked_of_the_first_http_endpoint_only_and_strictly() -> None:
    assert ask(HttpCheck(path="/ready"), endpoints=(RPC, HTTP, ADMIN)) == [("http", "/ready", False)]


def test_the_workloads_health_path_takes_the_place_of_the_default_rule() -> None:
    asked = ask(HttpCheck(), endpoints=(HTTP, ADMIN), health_path="/live")
    assert asked == [("http", "/live", False), ("admin", "/healthz", True)]


def test_a_check_of_an_endpoint_that_is_not_there_is_never_a_pass() -> None:
    verdict = unknown_endpoint((HTTP,), (HttpCheck(endpoint="metrics"),))
    assert verdict is not None
    assert (verdict.health, verdict.reason) == ("inconclusive", "EndpointUnknown")
    assert unknown_endpoint((HTTP,), (HttpCheck(endpoint="http"), HttpCheck())) is None


def test_a_grpc_check_asks_every_grpc_endpoint_or_the_one_it_names() -> None:
    def asked(check: GrpcCheck) -> list[str]:
        return [probe.endpoint.name for probe in grpc_probes((HTTP, RPC, ADMIN), (check,))]

    assert asked(GrpcCheck()) == ["rpc"]
    assert asked(GrpcCheck(endpoint="http")) == ["http"]
    wrong = unknown_endpoint((HTTP,), (GrpcCheck(endpoint="rpc"),))
    assert wrong is not None
    assert wrong.reason == "EndpointUnknown"


@pytest.mark.parametrize(
    ("status", "fallback", "passed"),
    [
        (200, False, True),
        (302, False, True),
        (404, False, False),
        (500, False, False),
        (404, True, True),
        (503, True, False),
    ],
)
def test_statuses(status: int, fallback: bool, passed: bool) -> None:
    assert passes(status, fallback) is passed


@given(st.binary(max_size=3000))
def test_what_is_shown_of_a_body_is_short_and_printable(body: bytes) -> None:
    text = shown(body)
    assert len(text) <= 200
    assert text.isprintable()
