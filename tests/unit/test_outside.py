"""Webhooks at gates: a clear yes is a yes, and nothing else is."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from activities.outbound import Outbound
from activities.outside import Outside
from model.destination import Reach
from model.external import External
from model.key import ComponentKey
from model.question import ExternalAnswer, ExternalQuestion

SECRET = "hush-4711"


class FakeSecrets:
    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return SECRET if (namespace, name, key) == ("default", "gate", "token") else None


@asynccontextmanager
async def webhook(answer: Callable[[], bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers every request with these bytes; its address, and what it was sent."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        received.append(head + await reader.readexactly(size))
        writer.write(answer())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/ask", received


def said(body: str, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join([*lines, "", ""]) + body).encode()


async def ask(url: str, loopback: bool = True, **changed: object) -> ExternalAnswer:
    external = External.model_validate({"name": "budget", "url": url, "timeout_seconds": 5, **changed})
    question = ExternalQuestion(
        id="run/production/budget/1",
        external=external,
        component=ComponentKey(name="web"),
        environment="production",
        release="web-1",
        digest="sha256:1",
    )
    reach = Reach(hosts=("localhost", "127.0.0.1")) if loopback else Reach()
    return await Outside(FakeSecrets(), Outbound(reach)).ask(question)


async def test_a_yes_is_a_yes_and_the_question_says_what_it_is_about() -> None:
    async with webhook(lambda: said('{"allow": true, "reason": "99.9 % left"}')) as (url, received):
        answer = await ask(url, secret="gate")
    assert (answer.answer, answer.message) == ("yes", "99.9 % left")
    head, _, body = received[0].partition(b"\r\n\r\n")
    assert b"Authorization: Bearer hush-4711" in head
    assert b"Host: localhost" in head
    assert b"Idempotency-Key: run/production/budget/1" in head
    assert json.loads(body)["digest"] == "sha256:1"
    assert SECRET not in answer.model_dump_json()


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (said('{"allow": false, "reason": "error budget spent"}'), "no", "Denied"),
        (said('{"allow": "true"}'), "error", "NoAnswer"),
        (said("{}"), "error", "NoAnswer"),
        (said("yes"), "error", "NoAnswer"),
        (said("[" * 5000), "error", "NoAnswer"),
        (said("x" * 70_000), "error", "AnswerTooLarge"),
        (said('{"allow": true}', "500 Internal Server Error"), "error", "NoAnswer"),
        (said("", "302 Found", "Location: http://169.254.169.254/"), "error", "NoAnswer"),
        (b"nonsense\r\n\r\n", "error", "Unreachable"),
    ],
)
async def test_anything_else_keeps_the_gate_shut(answer: bytes, kind: str, reason: str) -> None:
    async with webhook(lambda: answer) as (url, _):
        found = await ask(url)
    assert (found.answer, found.reason) == (kind, reason)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/x",
        "http://[::ffff:169.254.169.254]/x",
        "http://[fd00:ec2::254]/x",
        "http://0.0.0.0/x",
        "http://127.0.0.1/x",
        "http://localhost/x",
        "http://[::1]/x",
        "http://224.0.0.1/x",
    ],
)
async def test_addresses_that_belong_to_the_machine_or_its_cloud_are_never_asked(url: str) -> None:
    assert (await ask(url, loopback=False)).reason == "AddressRefused"


async def test_a_missing_secret_is_said_and_nothing_is_sent() -> None:
    async with webhook(lambda: said('{"allow": true}')) as (url, received):
        answer = await ask(url, secret="other")
    assert (answer.answer, answer.reason) == ("error", "SecretNotFound")
    assert received == []


async def test_a_silent_webhook_is_given_up() -> None:
    release = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        answer = await ask(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_seconds=1)
        release.set()
    assert (answer.answer, answer.reason) == ("error", "Timeout")
