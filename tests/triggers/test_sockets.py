"""Senders who send without end, too slowly or too much, over real sockets and at every address."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.triggers.serving import SECRET, Parts, build
from triggers.server import PROVIDERS, REGISTRIES, UNSIGNED, ServerSettings
from worker.inbound import Inbound

LIMIT = 256 * 1024
PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"
ROUTES = [f"/webhooks/{each.name}" for each in (*PROVIDERS, *REGISTRIES)]
ROUTES += [f"/webhooks/{each.name}/{SECRET}" for each in UNSIGNED]
every_route = pytest.mark.parametrize("route", ROUTES)


class Brief(Inbound):
    """As the server's connections, and sooner."""

    head_seconds = 1.0


@contextlib.asynccontextmanager
async def listening(settings: ServerSettings, folder: Path) -> AsyncIterator[int]:
    """The port of a real server."""
    config = uvicorn.Config(build(Parts(settings=settings), folder), log_config=None, http=Brief)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while True:
                status, _ = await sent(listener.getsockname()[1], b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                if status == 200:
                    break
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def sent(port: int, head: bytes, pieces: int = 0) -> tuple[int, int]:
    """Send the head and then pieces for as long as they are taken: the status, and the bytes that were sent.

    The status is 0 when the connection was reset: the server has answered and closed while we were still writing,
    and a reset may overtake its answer.
    """
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    count = 0
    try:
        writer.write(head)
        answer = asyncio.create_task(reader.readline())
        while count < pieces and not answer.done():
            writer.write(PIECE)
            count += 1
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0)
        try:
            return int((await answer).split()[1]), count * len(PIECE)
        except (ConnectionError, IndexError):
            return 0, count * len(PIECE)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def head(route: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {route} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@pytest.fixture(scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """A server that takes little."""
    settings = ServerSettings(webhook_secrets=(SECRET,), webhook_body_limit=LIMIT, body_seconds=60)
    async with listening(settings, tmp_path_factory.mktemp("small")) as port:
        yield port


@pytest.fixture(scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """A server that does not wait long."""
    settings = ServerSettings(webhook_secrets=(SECRET,), body_seconds=0.2)
    async with listening(settings, tmp_path_factory.mktemp("hasty")) as port:
        yield port


async def counted(port: int, route: str) -> float:
    """How many deliveries were found too long at an address, as the server counts them."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        told = (await client.get("/metrics")).text
    provider = route.removeprefix("/webhooks/").removesuffix(f"/{SECRET}")
    wanted = f'towpath_webhooks_total{{outcome="BodyTooLarge",provider="{provider}"}} '
    return sum(float(line.removeprefix(wanted)) for line in told.splitlines() if line.startswith(wanted))


@every_route
async def test_an_endless_body_is_refused_while_it_comes(small: int, route: str) -> None:
    """In pieces and without a length: 64 MiB would come, and the refusal is there long before."""
    before = await counted(small, route)
    status, taken = await sent(small, head(route, "Transfer-Encoding: chunked"), pieces=1000)
    assert status in (413, 0)
    assert await counted(small, route) == before + 1
    # Beyond the limit there is what lies in the sockets' buffers.
    assert taken < 32 * 1024 * 1024


@every_route
async def test_a_body_that_says_it_is_too_long_is_refused_at_once(small: int, route: str) -> None:
    for length in (LIMIT + 1, 26 * 1024 * 1024, 10**30):
        status, _ = await sent(small, head(route, f"Content-Length: {length}"))
        assert status in (400, 413) if length == 10**30 else status == 413


@every_route
async def test_a_slow_sender_is_not_waited_for(hasty: int, route: str) -> None:
    assert (await sent(hasty, head(route, "Transfer-Encoding: chunked")))[0] == 408
    assert (await sent(hasty, head(route, "Content-Length: 100")))[0] == 408


CLOSES_SECONDS = 60
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the server hangs up, whatever it says before."""
    async with asyncio.timeout(CLOSES_SECONDS):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    return True


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, which is read to its end."""
    status = int((await reader.readline()).split()[1])
    told = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return status


async def test_who_never_says_what_they_want_is_hung_up_on(small: int) -> None:
    for told in (b"", b"POST /webhooks/git HTTP/1.1\r\nHost: x\r\nX-Endless: "):
        reader, writer = await asyncio.open_connection("127.0.0.1", small)
        writer.write(told)
        assert await closed(reader)
        writer.close()


async def test_a_connection_that_was_used_before_has_no_more_patience(small: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", small)
    writer.write(HEALTH)
    assert await answered(reader) == 200
    writer.write(HEALTH[:10])
    assert await closed(reader)
    writer.close()


async def test_a_body_may_take_longer_than_a_head(small: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", small)
    writer.write(head("/webhooks/git", "Content-Length: 2"))
    # Somebody else who says nothing is hung up on meanwhile: that long it has been.
    idle, other = await asyncio.open_connection("127.0.0.1", small)
    assert await closed(idle)
    other.close()
    writer.write(b"{}")
    assert await answered(reader) == 401
    writer.write(HEALTH)
    assert await answered(reader) == 200
    writer.close()
