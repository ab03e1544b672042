"""Asking a release over HTTP, whatever it answers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.changes import Change
from activities.verification import Verification
from model.check import HttpCheck
from model.verdict import Verdict
from model.workload import Endpoint, Workload
from tests.rollouts import HTTP, request, with_policy

Writer = asyncio.StreamWriter
Answer = Callable[[str, Writer], Awaitable[None]]


class Kubernetes:
    """A Service whose one ready endpoint is the release's pod."""

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "web-1", "uid": "p1"}}]

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Change, None]:
        yield Change("SYNCED", {})
        endpoint = {"conditions": {"ready": True}, "targetRef": {"uid": "p1", "name": "web-1"}}
        yield Change("ADDED", {"metadata": {"name": "web-abc"}, "endpoints": [endpoint]})
        await asyncio.Event().wait()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked")


async def verify(answer: Answer, check: HttpCheck, workload: Workload | None = None) -> tuple[Verdict, list[str]]:
    """The verdict on a server that answers like this, and the request lines that it saw."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        try:
            await answer(head, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    class Local:
        async def address(self, namespace: str, service: str, port_: int) -> tuple[str, int]:
            return "127.0.0.1", port

    verification = Verification(Kubernetes(), Local())
    async with server:
        verdict = await ActivityEnvironment().run(
            verification.verify, with_policy(request(workload), checks=(check,))
        )
    return verdict, asked


def says(status: int, body: bytes = b"", headers: bytes = b"") -> Answer:
    async def answer(head: str, writer: Writer) -> None:
        length = b"Content-Length: %d\r\n" % len(body)
        writer.write(b"HTTP/1.1 %d X\r\n" % status + headers + length + b"\r\n" + body)

    return answer


CHECK = HttpCheck(interval_seconds=0, timeout_seconds=0.3)


async def test_a_404_for_healthz_falls_back_to_the_root() -> None:
    async def answer(head: str, writer: Writer) -> None:
        await says(404 if "/healthz" in head else 200)(head, writer)

    verdict, asked = await verify(answer, CHECK)
    assert (verdict.health, verdict.reason) == ("healthy", "HealthCheckPassed")
    assert asked[:2] == ["GET /healthz HTTP/1.1", "GET / HTTP/1.1"]


async def test_a_named_path_that_is_not_there_is_unhealthy() -> None:
    verdict, _ = await verify(says(404), CHECK.model_copy(update={"path": "/ready"}))
    assert (verdict.health, verdict.reason) == ("unhealthy", "HealthCheckFailed")


async def test_a_500_is_unhealthy_with_its_body_made_printable() -> None:
    verdict, asked = await verify(says(500, b"no \x00\x1bdatabase" + b"x" * 500_000), CHECK)
    assert (verdict.health, verdict.reason) == ("unhealthy", "HealthCheckFailed")
    assert "answered 500 to GET /healthz: no database" in verdict.message
    assert len(verdict.message) < 400
    assert len(asked) == 3


async def test_redirects_pass_and_are_not_followed() -> None:
    verdict, asked = await verify(says(302, headers=b"Location: http://169.254.169.254/\r\n"), CHECK)
    assert verdict.passed
    assert len(asked) == CHECK.samples


async def test_an_answer_that_never_ends_is_inconclusive() -> None:
    async def drip(head: str, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 X\r\n")
        for _ in range(100):
            writer.write(b"X-Slow: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    verdict, _ = await verify(drip, CHECK)
    assert (verdict.health, verdict.reason) == ("inconclusive", "HealthCheckUnreachable")


async def test_something_that_is_not_http_is_inconclusive() -> None:
    async def babble(head: str, writer: Writer) -> None:
        writer.write(b"220 smtp ready\r\n")

    verdict, _ = await verify(babble, CHECK)
    assert verdict.reason == "HealthCheckUnreachable"


async def test_proxies_of_the_surroundings_are_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    verdict, _ = await verify(says(200), CHECK)
    assert verdict.passed


@pytest.mark.parametrize(
    ("workload", "checks"),
    [
        (Workload(kind="worker", endpoints=(HTTP,)), (CHECK,)),
        (Workload(endpoints=(Endpoint(name="dns", type="UDP", port=53),)), (CHECK,)),
        (Workload(endpoints=(HTTP,)), ()),
    ],
)
async def test_nothing_to_ask_leaves_it_to_the_rollout(workload: Workload, checks: tuple[HttpCheck, ...]) -> None:
    verification = Verification(Kubernetes())
    verdict = await ActivityEnvironment().run(verification.verify, with_policy(request(workload), checks=checks))
    assert (verdict.health, verdict.reason) == ("healthy", "NothingToProbe")
