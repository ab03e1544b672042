"""A real Git server on a free port of this machine, and pushes to it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from deploy.local.githttp import GitHttp

AUTHOR = ("Ann O'Nym; rm -rf $HOME", "ann@example.org")


@dataclass
class Remote:
    """The server's address, and what it keeps."""

    url: str
    root: Path

    def clone(self, folder: Path, name: str) -> "Working":
        """A working copy that pushes to `name`; the repository is made by its first push."""
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
        return Working(folder, f"{self.url}/{name}.git")


@dataclass
class Working:
    """A working copy."""

    folder: Path
    url: str

    def git(self, *arguments: str, **env: str) -> str:
        """Run git in it."""
        identity = {"NAME": AUTHOR[0], "EMAIL": AUTHOR[1]}
        people = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in identity.items()}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            env={**os.environ, **people, "GIT_TERMINAL_PROMPT": "0", **env},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], message: str = "a change") -> str:
        """Write files and commit everything; answers the id."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    async def push(self, refs: str = "HEAD:refs/heads/main", *options: str) -> None:
        """Push, without blocking the server in this process."""
        await asyncio.to_thread(self.git, "push", "--quiet", *options, "--", self.url, refs)

    async def push_telling(self, *refs: str) -> str:
        """Push, and answer what the server's hooks said."""
        argv = ["git", "-C", str(self.folder), "push", "--", self.url, *refs]
        done = await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, text=True)
        return done.stderr


@asynccontextmanager
async def serving(folder: Path, environment: dict[str, str] | None = None) -> AsyncIterator[Remote]:
    """A server with its repositories below `folder`; with an environment, pushes are announced by our hook."""
    root, hooks = folder / "repositories", folder / "hooks"
    root.mkdir(parents=True)
    hooks.mkdir()
    if environment is not None:
        hook = hooks / "post-receive"
        hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deploy.local.announce\n')
        hook.chmod(0o755)
    git = GitHttp(root, hooks, environment or {})
    app = Starlette(routes=[Route("/{path:path}", git.serve, methods=["GET", "POST"])])
    async with listening(app) as url:
        yield Remote(url, root)


@asynccontextmanager
async def listening(app: object) -> AsyncIterator[str]:
    """Any ASGI application on a free port; answers its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")  # type: ignore[arg-type]
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn sets a flag and no event)
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
