"""A provider's API for tests: real HTTP on this machine, with the answers that its documentation shows."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from activities.hosting import Hosting
from activities.hosts import Hosts
from activities.outbound import Outbound
from model.destination import Reach
from model.resources.declared import read
from model.resources.repository import Repository

TOKEN = "a-token-that-nobody-may-see"
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Route = Answer | Callable[[Any, dict[str, str]], Answer]


@dataclass
class Api:
    """What answers, by method and path without the query; everything else is 404. `asked` keeps it all."""

    routes: dict[str, Route] = field(default_factory=dict)
    asked: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    address: str = ""

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        place = f"{request.method} {request.raw_path.partition('?')[0]}"
        query = dict(request.query)
        self.asked.append((place, body, query))
        self.authorizations.append(request.headers.get("Authorization", ""))
        route = self.routes.get(place, (404, {"message": "Not Found"}))
        status, document, *headers = route(body, query) if callable(route) else route
        text = "" if document is None else json.dumps(document)
        return web.Response(status=status, text=text, headers=headers[0] if headers else {})

    def sent(self, place: str) -> list[Any]:
        """The bodies of the requests there."""
        return [body for where, body, _ in self.asked if where == place]


class Secrets:
    """One secret, whatever is asked for."""

    def __init__(self, secret: str = TOKEN) -> None:
        self.secret = secret

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return self.secret


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[Api]:
    """The API on a port of its own."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", api.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    api.address = f"http://127.0.0.1:{port}"
    try:
        yield api
    finally:
        await runner.cleanup()


def hosts(secret: str = TOKEN) -> Hosts:
    """Providers on this machine may be spoken to."""
    return Hosts(Secrets(secret), Outbound(Reach(hosts=("127.0.0.1",))))


def repository(api: Api, provider: str, url: str, **spec: Any) -> Repository:
    """A Repository whose API is the test's."""
    credentials = spec or {"tokenSecretRef": {"name": "provider"}}
    return read(
        Repository,
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"url": url, "provider": provider, "api": {"url": api.address, **credentials}},
        },
    )


@asynccontextmanager
async def opened(api: Api, provider: str, url: str, **spec: Any) -> AsyncIterator[Hosting]:
    """The provider as Towpath speaks to it."""
    async with hosts().open(repository(api, provider, url, **spec)) as hosting:
        yield hosting
