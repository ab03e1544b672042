"""The local Git server: repositories made by pushing, and webhooks that tell of pushes."""

import hashlib
import hmac
import json
import os
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.gitserver import Working, listening, serving

SECRET = "a webhook secret"


class Receiver:
    """Takes webhooks, and answers as it is told."""

    def __init__(self, status: int = 202, **answer: object) -> None:
        self.status, self.answer = status, answer
        self.taken: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: Request) -> Response:
        self.taken.append((dict(request.headers), await request.body()))
        return JSONResponse(self.answer, self.status)


async def pushed(tmp_path: Path, receiver: Receiver | None, refs: tuple[str, ...]) -> tuple[Working, str]:
    """Push refs with the hook in place; answers the working copy and what the pusher read."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    app = Starlette(routes=[Route("/webhooks/git", receiver.take, methods=["POST"])] if receiver else [])
    async with listening(app) as server:
        environment = {
            "TOWPATH_URL": server if receiver else "http://127.0.0.1:1",
            "TOWPATH_GIT_URL": "http://git.example",
            "TOWPATH_WEBHOOK_SECRET_FILE": str(secret),
        }
        async with serving(tmp_path / "server", environment) as remote:
            working = remote.clone(tmp_path / "working", "team/app")
            working.commit({"a": "1"})
            told = await working.push_telling(*refs)
    return working, told


async def test_push_is_announced_with_a_signature_over_the_body(tmp_path: Path) -> None:
    receiver = Receiver(workflow="push/x")
    working, told = await pushed(tmp_path, receiver, ("HEAD:refs/heads/main",))
    ((headers, body),) = receiver.taken
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={expected}"
    assert headers["x-towpath-event"] == "push"
    document = json.loads(body)
    assert document["repository"]["url"] == "http://git.example/team/app.git"
    assert document["ref"] == "refs/heads/main"
    assert document["before"] == "0" * 40
    assert document["after"] == working.git("rev-parse", "HEAD")
    assert document["forced"] is False
    assert "remote: towpath: main: started push/x" in told
    assert SECRET not in told


async def test_each_ref_is_announced_with_its_own_delivery(tmp_path: Path) -> None:
    receiver = Receiver(workflow="push/x", duplicate=True)
    _, told = await pushed(tmp_path, receiver, ("HEAD:refs/heads/main", "HEAD:refs/heads/side"))
    assert len({headers["x-towpath-delivery"] for headers, _ in receiver.taken}) == 2
    assert "side: already known as push/x" in told


async def test_refusal_is_told_to_the_pusher_and_the_push_stays(tmp_path: Path) -> None:
    receiver = Receiver(404, detail="No such \x1b[31mrepository.")
    _, told = await pushed(tmp_path, receiver, ("HEAD:refs/heads/main",))
    assert "towpath: main: refused with 404: No such ?[31mrepository." in told
    assert (tmp_path / "server" / "repositories" / "team" / "app.git" / "refs" / "heads" / "main").exists()


async def test_absent_server_does_not_fail_the_push(tmp_path: Path) -> None:
    _, told = await pushed(tmp_path, None, ("HEAD:refs/heads/main",))
    assert "could not be reached" in told
    assert "push again" in told


@pytest.mark.parametrize(
    "path",
    [
        "/%2e%2e/%2e%2e/etc/info/refs?service=git-upload-pack",
        "/a.git/%2e%2e/%2e%2e/b.git/info/refs?service=git-receive-pack",
        "/-a.git/info/refs?service=git-receive-pack",
        "/a.git/hooks/post-receive",
    ],
)
async def test_paths_outside_are_not_served(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path / "server") as remote, httpx.AsyncClient() as client:
        answer = await client.get(httpx.URL(remote.url).copy_with(raw_path=path.encode()))
        assert answer.status_code in (403, 404)
    assert sorted(os.listdir(tmp_path / "server")) == ["hooks", "repositories"]
    assert os.listdir(tmp_path / "server" / "repositories") == []


async def test_reading_makes_no_repository(tmp_path: Path) -> None:
    async with serving(tmp_path / "server") as remote, httpx.AsyncClient() as client:
        answer = await client.get(f"{remote.url}/no/such.git/info/refs?service=git-upload-pack")
    assert answer.status_code == 404
    assert "pushing to it makes it" in answer.text
