"""Calls go to the one host they are meant for, at the address that was judged, and no further."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from activities import outbound as outbound_module
from activities.outbound import Outbound, Resolve
from model.destination import Reach
from model.failure import UserFailure

TOKEN = "canary-2718"
HERE = Reach(hosts=("127.0.0.1", "here.example"))


@asynccontextmanager
async def server(answer: Callable[[bytes], bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers every request by its head; its port, and the heads."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(answer(head))
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], heads


def said(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def leading(*answers: tuple[str, ...]) -> Resolve:
    """A resolver that gives these answers one after the other, the last one for ever."""
    left = list(answers)

    async def find(_host: str, _port: int) -> tuple[str, ...]:
        return left.pop(0) if len(left) > 1 else left[0]

    return find


def outbound(*answers: tuple[str, ...]) -> Outbound:
    return Outbound(HERE, leading(*answers))


async def test_a_call_reaches_its_host_under_its_own_name() -> None:
    async with server(lambda _: said(b"{}")) as (port, heads):
        base = f"http://here.example:{port}/api/v1"
        async with outbound(("127.0.0.1",)).client(base, {"Authorization": f"token {TOKEN}"}) as client:
            answer = await client.get("/user", params={"page": "1"})
    assert answer.json() == {}
    assert heads[0].startswith(b"GET /api/v1/user?page=1 HTTP/1.1")
    assert f"Host: here.example:{port}".encode() in heads[0]
    assert f"Authorization: token {TOKEN}".encode() in heads[0]


async def test_a_name_that_leads_elsewhere_a_moment_later_is_judged_again() -> None:
    async with (
        server(lambda _: said(b"{}")) as (port, heads),
        outbound(("127.0.0.1",), ("169.254.169.254",)).client(f"http://here.example:{port}") as client,
    ):
        await client.get("/")
        with pytest.raises(UserFailure) as caught:
            await client.get("/")
    assert caught.value.reason == "AddressRefused"
    assert len(heads) == 1


async def test_one_bad_address_among_good_ones_is_enough_to_refuse() -> None:
    async with (
        server(lambda _: said(b"{}")) as (port, heads),
        outbound(("127.0.0.1", "fe80::1")).client(f"http://here.example:{port}") as client,
    ):
        with pytest.raises(UserFailure):
            await client.get("/")
    assert heads == []


async def test_the_next_address_is_tried_when_nobody_listens_at_the_first() -> None:
    async with (
        server(lambda _: said(b"{}")) as (port, _),
        outbound(("127.0.0.2", "127.0.0.1")).client(f"http://here.example:{port}") as client,
    ):
        assert (await client.get("/")).status_code == 200


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with server(lambda _: said(b"")) as (other, reached):
        there = f"Location: http://127.0.0.1:{other}/"
        async with (
            server(lambda _: said(b"", "307 Temporary Redirect", there)) as (port, _),
            outbound(("127.0.0.1",)).client(f"http://here.example:{port}", {"Authorization": TOKEN}) as client,
        ):
            assert (await client.post("/", json={})).status_code == 307
            with pytest.raises(UserFailure) as caught:
                await client.get(f"http://127.0.0.1:{other}/")
    assert caught.value.reason == "OtherHost"
    assert reached == []


async def test_the_own_machine_is_refused_without_the_operators_word() -> None:
    async with (
        server(lambda _: said(b"{}")) as (port, heads),
        Outbound().client(f"http://localhost:{port}") as client,
    ):
        with pytest.raises(UserFailure) as caught:
            await client.get("/")
    assert caught.value.reason == "AddressRefused"
    assert heads == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(b"x" * 2000), UserFailure),
        (said(b"x", "200 OK", "Content-Encoding: gzip"), httpx.DecodingError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nslow", httpx.TransportError),
    ],
)
async def test_an_answer_that_is_too_large_packed_or_cut_short_is_none(
    answer: bytes, expected: type[Exception]
) -> None:
    async with (
        server(lambda _: answer) as (port, _),
        outbound(("127.0.0.1",)).client(f"http://here.example:{port}", limit=1000) as client,
    ):
        with pytest.raises(expected) as caught:
            await client.get("/")
    assert TOKEN not in str(caught.value)


async def test_a_server_that_drips_its_answer_is_given_up() -> None:
    ended = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n.")
        await writer.drain()
        await ended.wait()
        writer.close()

    listening = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        async with outbound(("127.0.0.1",)).client(f"http://here.example:{port}", seconds=0.3) as client:
            with pytest.raises(httpx.TimeoutException):
                await client.get("/")
        ended.set()


async def test_a_name_without_an_address_is_said() -> None:
    async with Outbound().client("http://nowhere.invalid/") as client:
        with pytest.raises(UserFailure) as caught:
            await client.get("/")
    assert caught.value.reason == "NameUnknown"


@pytest.mark.parametrize("token", [f"{TOKEN}\r\nX-Other: 1", f"{TOKEN}\u2713"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_quoted(token: str) -> None:
    with pytest.raises(UserFailure) as caught:
        Outbound().client("https://here.example", {"Authorization": f"Bearer {token}"})
    assert caught.value.reason == "BadHeader"
    assert TOKEN not in repr(caught.value)


def test_addresses_that_people_name_are_called_in_one_way_only() -> None:
    """The others call what the operator has configured (a registry, Prometheus) or what was just deployed."""
    folder = Path(outbound_module.__file__).parent
    making = {path.name for path in folder.glob("**/*.py") if "httpx.AsyncClient(" in path.read_text()}
    assert making == {"outbound.py", "registry.py", "prometheus.py", "probing.py"}
