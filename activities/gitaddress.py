"""Where a repository's address leads: judged before Git goes there, and followed within its own host only."""

import base64
import ipaddress
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from activities.outbound import Outbound
from model.destination import Reach
from model.failure import InfrastructureFailure, UserFailure
from model.repository import normalise

_HOPS_LIMIT = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KNOWN_LIMIT = 1000
_SSH_PORT = 22
_ANSWER_LIMIT = 64 * 1024


class GitAddress:
    """Looks at addresses for Git, which would neither judge them nor keep credentials from another host.

    Args:
        outbound: judges where hosts lead; None trusts every declared host (in tests).
    """

    def __init__(self, outbound: Outbound | None = None) -> None:
        self._outbound = outbound
        self._moved: dict[str, str] = {}

    def known(self, url: str) -> str:
        """Where the repository was found to be when somebody looked; the address itself before."""
        return self._moved.get(url, url)

    async def settings(self, url: str) -> tuple[tuple[str, str], ...]:
        """Settings that make Git connect to the address that was judged, whatever the name leads to later.

        Behind a proxy it is the proxy that looks names up, and decides.

        Raises:
            UserFailure: `AddressRefused`, `NameUnknown`.
        """
        if self._outbound is None or _proxied(url):
            return ()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            # ssh proves whom it speaks to before it says anything: looking is enough.
            host, _, port = normalise(url).partition("/")[0].partition(":")
            await self._outbound.addresses(host, int(port or _SSH_PORT))
            return ()
        port_number = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        found = await self._outbound.addresses(host, port_number)
        if _literal(host):
            return ()
        shown = ",".join(f"[{each}]" if ":" in each else each for each in found)
        return (("http.curloptResolve", f"{host}:{port_number}:{shown}"),)

    async def follow(self, url: str, basic: tuple[str, str] | None) -> str:
        """Where a repository is that answers with redirects: GitLab, for one, sends `…/app` on to `…/app.git`.

        Args:
            url: http or https.
            basic: user and password for its host; they go nowhere else.

        Raises:
            UserFailure: `GitRedirected`, it is at another host now; `AddressRefused`, `NameUnknown`.
            InfrastructureFailure: `GitUnreachable`.
        """
        if _proxied(url):
            raise _elsewhere(url, "")
        at = url
        for _ in range(_HOPS_LIMIT):
            to = await self._next(at, basic)
            if to is None:
                break
            at = to
        if len(self._moved) >= _KNOWN_LIMIT:
            self._moved.clear()
        self._moved[url] = at
        return at

    async def _next(self, url: str, basic: tuple[str, str] | None) -> str | None:
        parts = urlsplit(url)
        headers = {}
        if basic is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        outbound = self._outbound or Outbound(Reach(hosts=(parts.hostname or "",)))
        asked = f"{url.rstrip('/')}/info/refs"
        try:
            async with outbound.client(f"{parts.scheme}://{parts.netloc}", headers, limit=_ANSWER_LIMIT) as client:
                request = client.build_request("GET", asked, params={"service": "git-upload-pack"})
                response = await client.send(request, stream=True)
                await response.aclose()
        except httpx.HTTPError as error:
            raise InfrastructureFailure(
                "GitUnreachable", f"{url} could not be asked where it is: {type(error).__name__}."
            ) from None
        if response.status_code not in _REDIRECTS:
            return None
        return _within(url, urljoin(str(request.url), response.headers.get("location", "")))


def _within(url: str, location: str) -> str:
    """The repository's address behind a redirect, when it is still at the declared host."""
    before, after = urlsplit(url), urlsplit(location)
    try:
        same = (before.scheme, before.hostname, before.port) == (after.scheme, after.hostname, after.port)
        upgraded = (before.scheme, before.port, after.scheme, after.port) == ("http", None, "https", None)
    except ValueError:
        same = upgraded = False
    upgraded = upgraded and before.hostname == after.hostname
    if not (same or upgraded) or after.username is not None or not after.path.endswith("/info/refs"):
        other = after.hostname if after.hostname and after.hostname != before.hostname else ""
        raise _elsewhere(url, f" ({other})" if other else "")
    return f"{after.scheme}://{after.netloc}{after.path.removesuffix('/info/refs')}"


def _elsewhere(url: str, where: str) -> UserFailure:
    return UserFailure(
        "GitRedirected",
        f"{url} sends callers elsewhere{where}; only the declared host is spoken to. If the repository has moved, "
        "declare its new address; often it only lacks the .git at its end.",
    )


def _proxied(url: str) -> bool:
    parts = urlsplit(url)
    named = getproxies()
    return bool(named.get(parts.scheme)) and not proxy_bypass(parts.hostname or "")


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
