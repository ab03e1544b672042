"""What answers of a running release come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.check import HttpCheck
from model.probe import Probe, Sample, attempts, judge, passes, probes, shown, unknown_endpoint
from model.workload import Endpoint, Workload

HTTP = Endpoint(name="http", port=80)
ADMIN = Endpoint(name="admin", port=81)
RPC = Endpoint(name="rpc", type="gRPC", port=90)
UDP = Endpoint(name="dns", type="UDP", port=53)
PROBE = Probe(endpoint=HTTP, path="/healthz", falls_back=True, check=HttpCheck(samples=3))

PASSED = Sample(at=1, result="passed", status=200, path="/healthz")
FAILED = Sample(at=1, result="failed", status=500, path="/healthz", detail="database is down")
SILENT = Sample(at=1, result="unreachable", path="/healthz", detail="connection refused")


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


@pytest.mark.parametrize(
    ("samples", "health", "reason"),
    [
        ([PASSED] * 3, "healthy", "HealthCheckPassed"),
        ([SILENT, FAILED, PASSED, PASSED, PASSED], "healthy", "HealthCheckPassed"),
        ([FAILED] * 3, "unhealthy", "HealthCheckFailed"),
        ([PASSED, PASSED, FAILED, FAILED, FAILED], "unhealthy", "HealthCheckFailed"),
        ([SILENT] * 6, "inconclusive", "HealthCheckUnreachable"),
        ([PASSED, FAILED] * 8, "unhealthy", "HealthCheckFailed"),
        ([PASSED, SILENT] * 8, "inconclusive", "HealthCheckUnreachable"),
    ],
)
def test_verdicts(samples: list[Sample], health: str, reason: str) -> None:
    verdict = judge(PROBE, samples)
    assert verdict is not None
    assert (verdict.health, verdict.reason) == (health, reason)


@pytest.mark.parametrize("samples", [[], [PASSED] * 2, [FAILED] * 2, [SILENT] * 5, [PASSED, PASSED, FAILED]])
def test_more_answers_are_needed(samples: list[Sample]) -> None:
    assert judge(PROBE, samples) is None


def test_a_failed_check_shows_status_and_body() -> None:
    verdict = judge(PROBE, [FAILED] * 3)
    assert verdict is not None
    assert "answered 500 to GET /healthz: database is down" in verdict.message


@given(st.lists(st.sampled_from([PASSED, FAILED, SILENT]), max_size=attempts(PROBE.check)))
def test_healthy_only_after_enough_passes_in_a_row(samples: list[Sample]) -> None:
    verdict = judge(PROBE, samples)
    if verdict is not None and verdict.passed:
        assert samples[-3:] == [PASSED] * 3


@given(st.lists(st.sampled_from([PASSED, FAILED, SILENT]), min_size=attempts(PROBE.check)))
def test_asking_comes_to_an_end(samples: list[Sample]) -> None:
    assert judge(PROBE, samples) is not None


@given(st.binary(max_size=3000))
def test_what_is_shown_of_a_body_is_short_and_printable(body: bytes) -> None:
    text = shown(body)
    assert len(text) <= 200
    assert text.isprintable()
