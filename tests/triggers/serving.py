"""The server over fakes: how tests make it and talk to it."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from activities.freezes import Freezes
from model.component import Component
from tests.triggers.fakes import (
    COMMIT,
    OLDER,
    URL,
    FakeApiServer,
    FakeLogs,
    FakeMarks,
    FakeObjects,
    FakeReleases,
    FakeRules,
    FakeRuns,
    FakeSecrets,
    FakeStarter,
    component_object,
    convert,
)
from triggers.declared import Declared
from triggers.server import ServerSettings, application
from triggers.starter import Starter
from triggers.tokens import Tokens

SECRET = "platform-secret-4711"
TOKEN = "token-of-ada"
VIEWING = "token-of-vic"


SETTINGS = ServerSettings(
    webhook_secrets=(SECRET, "next-secret"), temporal_ui="http://ui.example", body_seconds=0.2
)


@dataclass
class Parts:
    """The fakes behind a server."""

    apiserver: FakeApiServer = field(default_factory=lambda: FakeApiServer(component_object(observedGeneration=1)))
    starter: FakeStarter = field(default_factory=FakeStarter)
    runs: FakeRuns = field(default_factory=FakeRuns)
    secrets: FakeSecrets = field(default_factory=FakeSecrets)
    releases: FakeReleases = field(default_factory=FakeReleases)
    marks: FakeMarks = field(default_factory=FakeMarks)
    rules: FakeRules = field(default_factory=FakeRules)
    kept_freezes: FakeObjects = field(default_factory=FakeObjects)
    logs: FakeLogs = field(default_factory=FakeLogs)
    settings: ServerSettings = SETTINGS
    convert: Callable[[dict[str, Any]], Component] = convert


def tokens_file(folder: Path) -> Path:
    """Ada may steer, Vic may look."""
    path = folder / "tokens.json"
    entries = [
        {"name": "Ada", "email": "ada@example", "roles": ["developer"], "sha256": _sha256(TOKEN)},
        {"name": "Vic", "roles": ["viewer"], "sha256": _sha256(VIEWING)},
    ]
    path.write_text(json.dumps(entries))
    return path


def build(parts: Parts, folder: Path, starter: Starter | None = None) -> FastAPI:
    """The application, on another starter if one is given; its lifespan is not running yet."""
    return application(
        parts.settings,
        starter=starter or parts.starter,
        runs=parts.runs,
        declared=Declared(parts.apiserver, parts.secrets, parts.convert),
        releases=parts.releases,
        marks=parts.marks,
        rules=parts.rules,
        freezes=Freezes(parts.kept_freezes),
        logs=parts.logs,
        tokens=Tokens(tokens_file(folder)),
        clock=lambda: 1_700_000_000.0,
    )


@contextlib.asynccontextmanager
async def serving(
    parts: Parts, folder: Path, wait_ready: bool = True, starter: Starter | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running server (no socket between)."""
    app = build(parts, folder, starter)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://towpath") as client,
    ):
        while wait_ready and (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110  (asked from outside)
            await asyncio.sleep(0)
        yield client


def signed(body: bytes, secret: str = SECRET) -> str:
    """The signature header's value."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def git_push(**changed: Any) -> dict[str, Any]:
    """The body of a plain Git server's hook."""
    return {"repository": {"url": URL}, "ref": "refs/heads/main", "before": OLDER, "after": COMMIT, **changed}


async def post_git(
    client: httpx.AsyncClient, body: bytes | dict[str, Any], secret: str = SECRET, **headers: str
) -> Any:
    """Post a hook's body, signed."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "X-Hub-Signature-256": signed(content, secret),
        "X-Towpath-Event": "push",
        "X-Towpath-Delivery": "d" * 40,
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return await client.post("/webhooks/git", content=content, headers=sent)


def authorized(token: str = TOKEN) -> dict[str, str]:
    """Headers of a person."""
    return {"Authorization": f"Bearer {token}"}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
