"""Git's own `git http-backend` behind ASGI; a repository that is pushed to and does not exist is made."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

REPOSITORIES = "TOWPATH_GIT_REPOSITORIES"
HOOKS = "TOWPATH_GIT_HOOKS"
_PATH = re.compile(
    r"/(?P<name>(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/){0,5}[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}?)(?:\.git)?"
    r"(?P<action>/info/refs|/git-upload-pack|/git-receive-pack|/HEAD)"
)
_SERVICES = frozenset({"git-upload-pack", "git-receive-pack"})
_HEADER_LIMIT = 16 * 1024
_CHUNK = 64 * 1024


class GitHttp:
    """Serves bare repositories below one folder over Git's smart HTTP protocol.

    Args:
        root: the folder.
        hooks: folder with the hooks of every repository.
        environment: variables for Git and the hooks.
    """

    def __init__(self, root: Path, hooks: Path, environment: Mapping[str, str]) -> None:
        self._root = root
        self._hooks = hooks
        self._environment = environment
        self._making = asyncio.Lock()
        self._advertisement = b""

    async def serve(self, request: Request) -> Response:
        """One request of a Git client."""
        matched = _PATH.fullmatch(request.url.path)
        if matched is None or ".git/" in matched["name"]:
            return PlainTextResponse("Not a path of a Git repository.\n", 404)
        action = matched["action"]
        service = request.query_params.get("service", "") if action == "/info/refs" else action[1:]
        if service not in _SERVICES:
            return PlainTextResponse("Only Git's smart HTTP protocol is served.\n", 403)
        repository = self._root / f"{matched['name']}.git"
        if not (repository / "HEAD").exists():
            if service != "git-receive-pack":
                return PlainTextResponse("No such repository; pushing to it makes it.\n", 404)
            await self._make(repository)
        if action == "/info/refs" and service == "git-upload-pack" and _is_second_protocol(request):
            return await self._capabilities(repository)
        return await self._run(request, f"/{matched['name']}.git{action}")

    async def _make(self, repository: Path) -> None:
        async with self._making:
            if not (repository / "HEAD").exists():
                argv = ["git", "init", "--quiet", "--bare", "--initial-branch=main", "--", str(repository)]
                await asyncio.to_thread(subprocess.run, argv, check=True, env=self._git_environment())
                description = "Made by a push to the local Git server.\n"
                await asyncio.to_thread((repository / "description").write_text, description)

    async def _capabilities(self, repository: Path) -> Response:
        """What every repository here answers first in protocol version 2: no refs, so Git is asked once."""
        if not self._advertisement:
            process = await asyncio.create_subprocess_exec(
                *("git", "upload-pack", "--http-backend-info-refs", str(repository)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env=self._git_environment() | {"GIT_PROTOCOL": "version=2"},
            )
            text, _ = await process.communicate()
            if process.returncode != 0:
                return PlainTextResponse("git upload-pack failed.\n", 500)
            self._advertisement = text
        headers = {"Cache-Control": "no-cache"}
        return Response(
            self._advertisement, media_type="application/x-git-upload-pack-advertisement", headers=headers
        )

    async def _run(self, request: Request, path: str) -> Response:
        process = await asyncio.create_subprocess_exec(
            *("git", "http-backend"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._git_environment() | self._cgi(request, path),
            limit=_HEADER_LIMIT,
        )
        assert process.stdin is not None  # noqa: S101  (it is a pipe)
        assert process.stdout is not None  # noqa: S101
        feeding = asyncio.create_task(_feed(request, process.stdin))
        status, headers = 500, {}
        try:
            while line := (await process.stdout.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name] = value.strip()
            status = int(headers.pop("Status", "200 OK").split()[0]) if headers else 500
        except ValueError:
            status = 500
        # A HEAD or a broken pipe ends the body; the process ends with it.
        return StreamingResponse(_body(process, feeding), status, headers)

    def _git_environment(self) -> dict[str, str]:
        settings = {
            "core.hooksPath": str(self._hooks),
            "http.receivepack": "true",
            # Builds fetch exactly one commit.
            "uploadpack.allowAnySHA1InWant": "true",
            # What a push has changed is told from trees alone.
            "uploadpack.allowFilter": "true",
            "receive.fsckObjects": "true",
            "safe.directory": "*",
        }
        environment = {
            **self._environment,
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(settings)),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
        }
        for position, (key, value) in enumerate(settings.items()):
            environment[f"GIT_CONFIG_KEY_{position}"] = key
            environment[f"GIT_CONFIG_VALUE_{position}"] = value
        return environment

    @staticmethod
    def _cgi(request: Request, path: str) -> dict[str, str]:
        """RFC 3875's variables, as far as git-http-backend(1) reads them."""
        headers = request.headers
        variables = {
            "PATH_INFO": path,
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.url.query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            "GIT_PROTOCOL": headers.get("git-protocol", ""),
            "REMOTE_ADDR": request.client.host if request.client else "",
        }
        if "content-length" in headers:
            variables["CONTENT_LENGTH"] = headers["content-length"]
        return {name: value for name, value in variables.items() if value}


def _is_second_protocol(request: Request) -> bool:
    return request.headers.get("git-protocol", "") == "version=2"


async def _feed(request: Request, stdin: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        async for chunk in request.stream():
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _body(process: asyncio.subprocess.Process, feeding: asyncio.Task[None]) -> AsyncIterator[bytes]:
    assert process.stdout is not None  # noqa: S101  (it is a pipe)
    try:
        while chunk := await process.stdout.read(_CHUNK):
            yield chunk
    finally:
        feeding.cancel()
        if process.returncode is None:
            # The hook may still be announcing: what was pushed is safe, so give it its time.
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 15)
        if process.returncode is None:
            process.kill()


async def healthz(request: Request) -> Response:  # noqa: ARG001  (Starlette's signature)
    """Says that the server answers."""
    return PlainTextResponse("ok\n")


def application() -> Starlette:
    """The server as its environment says."""
    kept = ("TOWPATH_GIT_URL", "TOWPATH_URL", "TOWPATH_WEBHOOK_SECRET_FILE", "PYTHONPATH")
    git = GitHttp(
        Path(os.environ[REPOSITORIES]),
        Path(os.environ[HOOKS]),
        {name: os.environ[name] for name in kept if name in os.environ},
    )
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/{path:path}", git.serve, methods=["GET", "POST"]),
        ]
    )
