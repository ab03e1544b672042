"""The one way to call addresses that somebody else has named: providers' APIs, webhooks, subscribers.

A client speaks to one host. Where its name leads is looked up and judged for every request, and the connection
goes to the very address that was judged, whatever the name leads to a moment later. Redirects are not followed,
proxies of the environment not used (they would look names up themselves), answers are capped in size and time.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpx
import structlog

from model.destination import Reach, check_origin, refusal
from model.failure import UserFailure

SECONDS = 15.0
LIMIT = 8 * 1024 * 1024
CONNECT_SECONDS = 5.0

Resolve = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""Where a name leads, in the order to try; raises OSError."""

log = structlog.get_logger(__name__)


async def resolve(host: str, port: int) -> tuple[str, ...]:
    """What the system's resolver says.

    Raises:
        OSError: the name leads nowhere.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Outbound:
    """Makes HTTP clients, each bound to the host that it was made for.

    Args:
        reach: what the operator allows.
        resolver: where names lead.
    """

    def __init__(self, reach: Reach | None = None, resolver: Resolve = resolve) -> None:
        self._reach = reach or Reach()
        self._resolver = resolver

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Where a host may be spoken to, in the order to try.

        Raises:
            UserFailure: `NameUnknown`; `AddressRefused`, when any of its addresses may not be spoken to.
        """
        try:
            found = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise UserFailure("NameUnknown", f"{host} has no address.") from None
        if not found:
            raise UserFailure("NameUnknown", f"{host} has no address.")
        for address in found:
            if why := refusal(host, port, address, self._reach):
                log.warning("address refused", host=host, why=why)
                raise UserFailure(
                    "AddressRefused",
                    f"{host} leads to an address that may not be asked: {why}. An operator can vouch for the host "
                    "with TOWPATH_OUTBOUND_HOSTS.",
                )
        return found

    def client(
        self,
        base: str,
        headers: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
        limit: int = LIMIT,
    ) -> httpx.AsyncClient:
        """A client for the host of one address; close it.

        Requests raise `httpx.HTTPError` as ever (do not show its text), and `UserFailure` with `OtherHost`,
        `NameUnknown`, `AddressRefused` or `AnswerTooLarge`.

        Args:
            base: `http(s)://host[:port][/path]`; paths of requests are appended to it.
            headers: go with every request; what is secret in them is never shown.
            seconds: limit of one request, its answer included.
            limit: of an answer's body, in bytes.

        Raises:
            UserFailure: `BadAddress`; `BadHeader`, a header (a token, for one) cannot be sent.
        """
        origin = check_origin(base)
        if any(not character.isprintable() for text in (headers or {}).values() for character in text):
            raise UserFailure("BadHeader", "The token holds what cannot be sent.")
        try:
            return httpx.AsyncClient(
                base_url=base,
                # An answer that unpacks to more than it weighs would get past the limit.
                headers={"User-Agent": "towpath", **(headers or {}), "Accept-Encoding": "identity"},
                timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
                follow_redirects=False,
                trust_env=False,
                transport=_Bound(self, origin, seconds, limit),
            )
        except (httpx.InvalidURL, ValueError):
            # Without the cause: a header that cannot be sent would be quoted, and that may be the token.
            raise UserFailure("BadHeader", "The address or the token holds what cannot be sent.") from None


class _Bound(httpx.AsyncBaseTransport):
    """Sends what is meant for one origin to where its name was found to lead."""

    def __init__(self, outbound: Outbound, origin: tuple[str, str, int], seconds: float, limit: int) -> None:
        self._outbound = outbound
        self._origin = origin
        self._seconds = seconds
        self._limit = limit
        # Without retries: whether a call may be made twice is the caller's to know.
        self._inner = httpx.AsyncHTTPTransport(trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if check_origin(str(request.url.copy_with(userinfo=b""))) != self._origin or request.url.userinfo:
            raise UserFailure("OtherHost", f"Calls for {self._origin[1]} go to no other host.")
        deadline = asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._send(request)
        except TimeoutError:
            raise httpx.ReadTimeout("The answer took too long.", request=request) from None
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding not in ("", "identity"):
            await response.aclose()
            raise httpx.DecodingError("The answer is packed, which was not asked for.", request=request)
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101  (an asynchronous transport's)
        body = _Body(response.stream, deadline, self._limit, self._origin[1])
        return httpx.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    async def _send(self, request: httpx.Request) -> httpx.Response:
        _, host, port = self._origin
        addresses = await self._outbound.addresses(host, port)
        for last, address in zip([*[False] * (len(addresses) - 1), True], addresses, strict=True):
            meant = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                # `Host` is among them, and names the host; certificates are checked against it as well.
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._inner.handle_async_request(meant)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if last:
                    raise
        raise AssertionError  # a name with no address was refused before

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Body(httpx.AsyncByteStream):
    """An answer's body up to a size and a moment."""

    def __init__(self, inner: httpx.AsyncByteStream, deadline: float, limit: int, host: str) -> None:
        self._inner = inner
        self._deadline = deadline
        self._limit = limit
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        pieces = aiter(self._inner)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise httpx.ReadTimeout("The answer took too long.") from None
            size += len(piece)
            if size > self._limit:
                raise UserFailure("AnswerTooLarge", f"The answer of {self._host} exceeds {self._limit} bytes.")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
