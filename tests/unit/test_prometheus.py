"""Asking Prometheus, whatever answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from temporalio.testing import ActivityEnvironment

from activities.prometheus import ANSWER_LIMIT, Prometheus
from activities.querying import Querying
from activities.verification import Verification
from model.check import Baseline, QueryCheck
from model.rollout import RolloutRequest
from model.verdict import Verdict
from tests.rollouts import request, with_policy

Answer = Callable[[dict[str, str]], Awaitable[tuple[int, bytes]]]
QUERY = 'rate(errors{release="{{release}}"}[1m])'
CHECK = QueryCheck(name="errors", query=QUERY, max=0.5, interval_seconds=0, timeout_seconds=1)


def vector(*values: str) -> bytes:
    series = [{"metric": {}, "value": [1, value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}).encode()


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers like this, its address, and the forms that it was sent."""
    asked: list[dict[str, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-l")
        )
        form = {name: found[0] for name, found in parse_qs((await reader.readexactly(length)).decode()).items()}
        given = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("Authorization")]
        asked.append(form | dict.fromkeys(("authorization",) * len(given), "".join(given)))
        try:
            status, body = await answer(form)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def verify(answer: Answer, *checks: QueryCheck, asked: RolloutRequest | None = None) -> Verdict:
    """The verdict of query checks alone, on such a server."""

    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} is not asked")

    async with server(answer) as (url, _):
        verification = Verification(Nothing(), prometheus=Prometheus({"": url}))
        ruled = with_policy(asked or request(), checks=(), queries=checks or (CHECK,))
        return await ActivityEnvironment().run(verification.verify, ruled)


def says(*bodies: bytes, status: int = 200) -> Answer:
    """Each answer in turn, the last one for ever."""
    left = list(bodies)

    async def answer(_form: dict[str, str]) -> tuple[int, bytes]:
        return status, left.pop(0) if len(left) > 1 else left[0]

    return answer


@pytest.mark.parametrize(
    ("answer", "health", "reason", "said"),
    [
        (says(vector("0.1")), "healthy", "QueryPassed", "is 0.1, 3 times in a row"),
        (says(vector("0.9")), "unhealthy", "QueryFailed", "is 0.9, more than 0.5"),
        (says(vector("0.9"), vector("0.1")), "healthy", "QueryPassed", "0.1"),
        (says(vector("NaN")), "inconclusive", "QueryInconclusive", "NaN"),
        (says(vector()), "inconclusive", "QueryInconclusive", "no data"),
        (says(vector("0", "0")), "inconclusive", "QueryInconclusive", "2 series"),
        (says(vector("0.1"), vector("0.1"), vector(), vector()), "inconclusive", "QueryInconclusive", "no data"),
        (says(b"<html>", status=502), "inconclusive", "QueryInconclusive", "answered 502"),
        (says(b"[" * 100_000), "inconclusive", "QueryInconclusive", "not as Prometheus does"),
        (says(b" " * (ANSWER_LIMIT + 1)), "inconclusive", "QueryInconclusive", "longer than"),
    ],
)
async def test_only_numbers_within_limits_pass(answer: Answer, health: str, reason: str, said: str) -> None:
    verdict = await verify(answer)
    assert (verdict.health, verdict.reason) == (health, reason)
    assert said in verdict.message
    assert verdict.observations


async def test_what_prometheus_refuses_is_not_asked_again() -> None:
    body = json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error: x"}).encode()

    async with server(says(body, status=400)) as (url, asked):
        verification = Verification(object(), prometheus=Prometheus({"": url}))  # type: ignore[arg-type]
        ruled = with_policy(request(), checks=(), queries=(CHECK,))
        verdict = await ActivityEnvironment().run(verification.verify, ruled)
    assert (verdict.health, len(asked)) == ("inconclusive", 1)
    assert "parse error" in verdict.message


async def test_a_server_that_does_not_answer_in_time_is_inconclusive() -> None:
    async def slow(_form: dict[str, str]) -> tuple[int, bytes]:
        await asyncio.sleep(30)
        return 200, vector("0")

    verdict = await verify(slow, CHECK.model_copy(update={"timeout_seconds": 0.05}))
    assert (verdict.health, verdict.reason) == ("inconclusive", "QueryInconclusive")


async def test_the_deadline_ends_what_would_go_on() -> None:
    check = CHECK.model_copy(update={"samples": 100, "interval_seconds": 0.02})
    async with server(says(vector("0.1"))) as (url, _):
        verification = Verification(object(), prometheus=Prometheus({"": url}))  # type: ignore[arg-type]
        ruled = with_policy(request(), checks=(), queries=(check,), verification_seconds=0.3)
        verdict = await ActivityEnvironment().run(verification.verify, ruled)
    assert verdict.health == "inconclusive"
    assert "no time for more" in verdict.message


async def test_servers_are_named_and_credentials_are_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "http://user:hunter2@127.0.0.1:1"
    prometheus = Prometheus({"": secret, "eu": secret})
    async with server(says(vector("1"))) as (url, forms):
        given = Prometheus({"": url.replace("http://", "http://user:hunter2@")})
        assert (await given.ask("", "up", None, 1)).value == 1
        assert forms[0]["authorization"] == "Basic dXNlcjpodW50ZXIy"
    unknown = await prometheus.ask("us", "up", None, 1)
    refused = await prometheus.ask("eu", "up", None, 1)
    assert unknown.lasting
    assert "'us'; it knows: (the default), eu" in unknown.problem
    assert refused.value is None
    assert "hunter2" not in unknown.problem + refused.problem
    assert "hunter2" not in caplog.text
    assert "TOWPATH_PROMETHEUS" in (await Prometheus().ask("", "up", None, 1)).problem


async def test_a_baseline_is_the_release_before_at_the_moment_before_this_one() -> None:
    before = request(commit="2" * 40).release
    asked = request(fence=1_700_000_000_500).model_copy(update={"last_good": before})

    async def answer(form: dict[str, str]) -> tuple[int, bytes]:
        return 200, vector("10" if before.name in form["query"] else "14")

    check = CHECK.model_copy(update={"max": None, "baseline": Baseline(max_ratio=1.5)})
    async with server(answer) as (url, forms):
        querying = Querying(Prometheus({"": url}), asked, check)
        sample = await querying.ask()
        assert (sample.result, sample.said) == ("passed", "is 14, its baseline 10")
        await querying.ask()
    assert [form["query"] for form in forms] == [
        f'rate(errors{{release="{name}"}}[1m])' for name in (asked.release.name, before.name, asked.release.name)
    ]
    assert [form.get("time") for form in forms] == [None, "1700000000.500", None]


async def test_on_the_way_back_queries_are_not_asked() -> None:
    asked = request().model_copy(update={"going_back": True})
    verdict = await verify(says(vector("0.9")), asked=asked)
    assert (verdict.health, verdict.reason) == ("healthy", "NothingToProbe")
