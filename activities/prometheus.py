"""Asking Prometheus (or anything that speaks its query API) for one number."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from model.reading import Reading, read

ANSWER_LIMIT = 256 * 1024
DEFAULT = ""


@dataclass(frozen=True)
class _Server:
    """An address without the credentials that stood in it: addresses appear in logs."""

    address: str
    credentials: tuple[str, str] | None

    @classmethod
    def at(cls, text: str) -> "_Server":
        url = httpx.URL(text)
        credentials = (url.username, url.password) if url.userinfo else None
        return cls(str(url.copy_with(userinfo=b"")).rstrip("/"), credentials)


class Prometheus:
    """The servers that this data plane's worker may ask, by name; the empty name is the default one.

    Policies name servers and never addresses: who may write a policy cannot send the worker anywhere.
    """

    def __init__(self, servers: Mapping[str, str] | None = None) -> None:
        self._servers = {name: _Server.at(url) for name, url in (servers or {}).items() if url}

    async def ask(self, server: str, query: str, at: float | None, timeout_seconds: float) -> Reading:
        """The number that `query` comes to at a time (seconds since the epoch; None: now).

        Whatever goes wrong is a problem in the reading; addresses, which may hold credentials, are not told.
        """
        known = self._servers.get(server)
        if known is None:
            return Reading(problem=self._unknown(server), lasting=True)
        form = {"query": query, "timeout": f"{timeout_seconds:g}s"}
        if at is not None:
            form["time"] = f"{at:.3f}"
        try:
            # httpx limits each read; a server that dribbles must end as well, which the caller sees to.
            async with httpx.AsyncClient(
                trust_env=False, follow_redirects=False, timeout=timeout_seconds, auth=known.credentials
            ) as client:
                return await _answer(client, f"{known.address}/api/v1/query", form)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Reading(problem=f"the server cannot be asked ({type(error).__name__})")

    def _unknown(self, server: str) -> str:
        if not self._servers:
            return "this data plane's worker knows no Prometheus: set TOWPATH_PROMETHEUS"
        known = ", ".join(sorted(name or "(the default)" for name in self._servers))
        return f"this data plane's worker knows no server {server!r}; it knows: {known}"


async def _answer(client: httpx.AsyncClient, url: str, form: dict[str, str]) -> Reading:
    body = b""
    async with client.stream("POST", url, data=form, headers={"User-Agent": "towpath-verification"}) as response:
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > ANSWER_LIMIT:
                return Reading(problem=f"the answer is longer than {ANSWER_LIMIT} bytes: aggregate the query")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return Reading(problem=f"the server answered {response.status_code}, and not as Prometheus does")
    return read(document)
