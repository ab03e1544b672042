"""A Git server that asks for credentials, sends callers on, and remembers what it was told."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from deploy.local.githttp import GitHttp
from tests.gitserver import Remote, listening

USER, PASSWORD = "robot", "canary-3141"
MAIN = "refs/heads/main"


@dataclass
class Host:
    """One server with `team/app`, whose commit is `head`.

    `moved` sends paths that begin so to other addresses, `seen` are the paths that were asked for and the
    credentials that came along, `public` asks for none.
    """

    git: GitHttp
    head: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    public: bool = False
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.seen.append((request.url.path, request.headers.get("authorization", "")))
        scope["path_params"] = {"path": request.url.path.lstrip("/")}
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        for before, after in self.moved.items():
            if request.url.path.startswith(before):
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(after + request.url.path.removeprefix(before) + query, 301)
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not self.public and request.headers.get("authorization") != wanted:
            return Response(status_code=401, headers={"WWW-Authenticate": "Basic"})
        return await self.git.serve(request)


@asynccontextmanager
async def host(folder: Path) -> AsyncIterator[tuple[Host, str]]:
    """A host with the repository `team/app`."""
    (folder / "hooks").mkdir(parents=True)
    found = Host(GitHttp(folder / "repositories", folder / "hooks", {}))
    async with listening(found) as url:
        working = Remote(url, folder).clone(folder / "working", "team/app")
        found.head = working.commit({"a": "1"})
        own = url.replace("//", f"//{USER}:{PASSWORD}@")
        await asyncio.to_thread(working.git, "push", "--quiet", f"{own}/team/app.git", f"HEAD:{MAIN}")
        found.seen.clear()
        yield found, url
