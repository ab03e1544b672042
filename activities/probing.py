"""Asking one endpoint once: by HTTP(S), by gRPC's health service, or by connecting."""

import asyncio
import ssl
import time
from dataclasses import dataclass

import grpc
import httpx
from grpc_health.v1 import health_pb2

from model.check import Tls
from model.probe import FALLBACK_PATH, GrpcProbe, Probe, passes, shown
from model.sampling import Sample

BODY_LIMIT = 64 * 1024
_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = health_pb2.HealthCheckResponse.ServingStatus
# A connection of its own each time, so that each may meet another pod; and no way around through a proxy.
_CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0))


@dataclass(frozen=True)
class Place:
    """Where an endpoint is: what to connect to, the name it goes by, and the authority to trust (PEM)."""

    host: str
    port: int
    name: str
    authority: str = ""


async def get(probe: Probe, place: Place) -> Sample:
    """One GET over a connection of its own."""
    check, path = probe.check, probe.path
    try:
        async with (
            asyncio.timeout(check.timeout_seconds),
            httpx.AsyncClient(
                trust_env=False,
                follow_redirects=False,
                timeout=check.timeout_seconds,
                verify=_context(check.tls, place.authority) if check.tls else False,
            ) as client,
        ):
            status, body = await _answer(client, place, path, check.tls)
            fallback = probe.falls_back and status == 404
            if fallback:
                path = FALLBACK_PATH
                status, body = await _answer(client, place, path, check.tls)
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, TimeoutError, OSError) as error:
        said = str(error) or f"no answer within {check.timeout_seconds:g} s"
        return _silent(said)
    passed = passes(status, fallback)
    what = f"answered {status} to GET {path}"
    return Sample(
        at=time.time(),
        result="passed" if passed else "failed",
        said=what if passed or not body else f"{what}: {shown(body)}",
    )


async def ask_health(probe: GrpcProbe, place: Place) -> Sample:
    """One `grpc.health.v1.Health/Check`.

    https://github.com/grpc/grpc/blob/master/doc/health-checking.md: NOT_FOUND is an unknown service,
    UNIMPLEMENTED a server without a health service. Neither says that the release is unwell.
    """
    check = probe.check
    try:
        async with asyncio.timeout(check.timeout_seconds), _channel(check.tls, place) as channel:
            method = channel.unary_unary(
                _CHECK,
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            answer = await method(
                health_pb2.HealthCheckRequest(service=check.service), timeout=check.timeout_seconds
            )
    except TimeoutError:
        return _silent(f"no answer within {check.timeout_seconds:g} s")
    except grpc.aio.AioRpcError as error:
        return _silent(f"{error.code().name}: {error.details() or 'no details'}")
    status = _SERVING.Name(answer.status) if answer.status in _SERVING.values() else str(answer.status)
    of = f" for service {check.service}" if check.service else ""
    if answer.status == _SERVING.SERVING:
        return Sample(at=time.time(), result="passed", said=f"is SERVING{of}")
    if answer.status == _SERVING.NOT_SERVING:
        return Sample(at=time.time(), result="failed", said=f"is NOT_SERVING{of}")
    return _silent(f"its health is {status}{of}")


async def connect(probe: Probe, place: Place) -> Sample:
    """One connection, opened and closed."""
    try:
        async with asyncio.timeout(probe.check.timeout_seconds):
            _, writer = await asyncio.open_connection(place.host, place.port)
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, OSError) as error:
        return _silent(str(error) or f"no connection within {probe.check.timeout_seconds:g} s")
    return Sample(at=time.time(), result="passed", said="took a connection")


def _silent(said: str) -> Sample:
    return Sample(at=time.time(), result="unreachable", said=f"did not answer: {said[:200]}")


async def _answer(client: httpx.AsyncClient, place: Place, path: str, tls: Tls | None) -> tuple[int, bytes]:
    """Status and the first bytes of the body; the rest is not read."""
    headers = {
        "Host": f"{place.name}:{place.port}",
        "User-Agent": "towpath-verification",
        "Accept-Encoding": "identity",
    }
    scheme = "https" if tls else "http"
    url = httpx.URL(scheme=scheme, host=place.host, port=place.port, raw_path=path.encode())
    named = {"sni_hostname": tls.server_name or place.name} if tls else {}
    body = b""
    async with client.stream("GET", url, headers=headers, extensions=named) as response:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) >= BODY_LIMIT or response.is_success:
                break
    return response.status_code, body[:BODY_LIMIT]


def _context(tls: Tls, authority: str) -> ssl.SSLContext:
    """Raises ssl.SSLError when the authority is not PEM."""
    context = ssl.create_default_context(cadata=authority or None)
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _channel(tls: Tls | None, place: Place) -> grpc.aio.Channel:
    target = f"{place.host}:{place.port}"
    if tls is None:
        return grpc.aio.insecure_channel(target, options=(*_CHANNEL, ("grpc.default_authority", place.name)))
    credentials = grpc.ssl_channel_credentials(place.authority.encode() or None)
    named = ("grpc.ssl_target_name_override", tls.server_name or place.name)
    return grpc.aio.secure_channel(target, credentials, options=(*_CHANNEL, named))
