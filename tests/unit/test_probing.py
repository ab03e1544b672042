"""Asking endpoints by gRPC's health protocol and over TLS, whatever answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from activities.probing import Place, ask_health, get
from model.check import GrpcCheck, HttpCheck, Tls
from model.probe import GrpcProbe, Probe
from model.sampling import Sample
from model.workload import Endpoint
from tests.certificates import self_signed

NAME = "web.dp-shop.svc"
RPC = Endpoint(name="rpc", type="gRPC", port=9000)
HTTP = Endpoint(name="http", port=443)
STATUS = health_pb2.HealthCheckResponse.ServingStatus


CERTIFICATE, KEY = self_signed(NAME)
STRANGER, _ = self_signed(NAME)


@asynccontextmanager
async def rpc(statuses: dict[str, int] | None, tls: bool = False) -> AsyncIterator[int]:
    """A gRPC server with these health statuses (None: no health service), and its port."""
    server = grpc.aio.server()
    if statuses is not None:
        servicer = health.aio.HealthServicer()
        for service, status in statuses.items():
            await servicer.set(service, status)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if tls:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(KEY, CERTIFICATE)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def place(port: int, authority: bytes = b"") -> Place:
    return Place(host="127.0.0.1", port=port, name=NAME, authority=authority.decode())


async def ask(port: int, check: GrpcCheck | None = None, authority: bytes = b"") -> Sample:
    return await ask_health(GrpcProbe(endpoint=RPC, check=check or GrpcCheck()), place(port, authority))


@pytest.mark.parametrize(
    ("statuses", "service", "result", "said"),
    [
        ({"": STATUS.SERVING}, "", "passed", "is SERVING"),
        ({"": STATUS.NOT_SERVING}, "", "failed", "is NOT_SERVING"),
        ({"": STATUS.SERVING, "shop.Cart": STATUS.NOT_SERVING}, "shop.Cart", "failed", "for service shop.Cart"),
        ({"": STATUS.UNKNOWN}, "", "unreachable", "UNKNOWN"),
        ({"": STATUS.SERVING}, "shop.Cart", "unreachable", "NOT_FOUND"),
        (None, "", "unreachable", "UNIMPLEMENTED"),
    ],
)
async def test_only_serving_passes_and_only_not_serving_fails(
    statuses: dict[str, int] | None, service: str, result: str, said: str
) -> None:
    async with rpc(statuses) as port:
        sample = await ask(port, GrpcCheck(service=service, timeout_seconds=10))
    assert sample.result == result
    assert said in sample.said


async def test_nobody_there_and_nobody_answering_say_nothing() -> None:
    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sample = await ask(port, GrpcCheck(timeout_seconds=0.3))
    assert sample.result == "unreachable"
    server.close()
    sample = await ask(port, GrpcCheck(timeout_seconds=5))
    assert sample.result == "unreachable"


@pytest.mark.parametrize(("authority", "result"), [(CERTIFICATE, "passed"), (STRANGER, "unreachable")])
async def test_grpc_over_tls_believes_the_named_authority_alone(authority: bytes, result: str) -> None:
    async with rpc({"": STATUS.SERVING}, tls=True) as port:
        sample = await ask(port, GrpcCheck(tls=Tls(), timeout_seconds=10), authority)
    assert sample.result == result


@pytest.mark.parametrize(
    ("tls", "authority", "result", "said"),
    [
        (Tls(), CERTIFICATE, "passed", "answered 200"),
        (Tls(), STRANGER, "unreachable", "certificate verify failed"),
        (Tls(), b"", "unreachable", "certificate verify failed"),
        (Tls(), b"no PEM", "unreachable", "did not answer"),
        (Tls(server_name="other.example"), CERTIFICATE, "unreachable", "Hostname mismatch"),
        (Tls(insecure=True), b"", "passed", "answered 200"),
    ],
)
async def test_https_is_proven_unless_the_policy_says_otherwise(
    tmp_path: Path, tls: Tls, authority: bytes, result: str, said: str
) -> None:
    (tmp_path / "pem").write_bytes(CERTIFICATE + KEY)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pem")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        probe = Probe(endpoint=HTTP, path="/healthz", check=HttpCheck(tls=tls, timeout_seconds=10))
        sample = await get(probe, place(server.sockets[0].getsockname()[1], authority))
    assert sample.result == result
    assert said in sample.said
