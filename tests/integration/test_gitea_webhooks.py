"""What a real Gitea sends for what people do, and what is understood of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
import pytest_asyncio

from model.change_request import ChangeRequest
from model.comment import Comment
from model.event import Announced
from model.push import Push
from model.ref_deleted import RefDeleted
from tests.gitea import Gitea, Hosted, Person
from tests.gitserver import Remote, Working, listening
from tests.triggers.fakes import FakeApiServer, FakeSecrets, FakeStarter, component_object, repository_object
from tests.triggers.serving import Parts, build
from triggers.starter import Started, Stored

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

E = TypeVar("E", bound=Announced)
SECRET = "secret-of-this-repository"
EVENTS = ("push", "create", "delete", "pull_request", "pull_request_sync", "pull_request_comment", "issue_comment")
ARRIVES_SECONDS = 30


class Counting(FakeStarter):
    """Says when it was told something again."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated = asyncio.Event()

    async def start(self, event: Stored, workflow: str) -> Started:
        started = await super().start(event, workflow)
        if started.duplicate:
            self.repeated.set()
        return started


@dataclass
class Ground:
    """A repository at Gitea whose webhook sends to our receiver, and somebody else's fork of it."""

    gitea: Gitea
    hosted: Hosted
    stranger: Person
    working: Working
    parts: Parts
    counting: Counting
    hook: int

    async def push(self, *refs: str, hosted: Hosted | None = None) -> None:
        await asyncio.to_thread((hosted or self.hosted).push, self.working.folder, *refs)

    async def merge(self, number: int) -> None:
        """Take a request in, once Gitea has looked whether that can be done."""
        path = f"/repos/{self.hosted.name}/pulls/{number}"
        async with asyncio.timeout(ARRIVES_SECONDS):
            while True:
                try:
                    await asyncio.to_thread(
                        self.gitea.call, "POST", f"{path}/merge", {"Do": "merge"}, self.hosted.owner
                    )
                    return
                except httpx.HTTPStatusError as error:
                    if error.response.status_code != 405:
                        raise
                await asyncio.sleep(0.2)

    async def told(self, kind: type[E], which: Callable[[E], bool]) -> E:
        """The event of a kind, once it has come."""
        starter = self.parts.starter
        async with asyncio.timeout(ARRIVES_SECONDS):
            while True:
                for event in starter.events.values():
                    if isinstance(event, kind) and which(event):
                        return event
                starter.news.clear()
                await starter.news.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    with Gitea.of_the_stack() as gitea:
        ada, bob = gitea.person("ada"), gitea.person("bob")
        hosted = gitea.repository(ada)
        counting = Counting()
        parts = Parts(
            starter=counting,
            apiserver=FakeApiServer(component_object(observedGeneration=1), repository_object(hosted.url, "mine")),
            secrets=FakeSecrets(mine=SECRET),
        )
        app = build(parts, tmp_path)
        async with app.router.lifespan_context(app), listening(app) as address:
            hook = gitea.hook(hosted, f"{address}/webhooks/gitea", SECRET, EVENTS)
            working = Remote("", tmp_path).clone(tmp_path / "working", "app")
            yield Ground(gitea, hosted, bob, working, parts, counting, hook)


async def test_what_people_do_at_gitea_is_what_is_understood(ground: Ground) -> None:
    ada = ground.hosted.owner.login
    first = ground.working.commit({"a": "1"})
    await ground.push("HEAD:refs/heads/main")
    pushed = await ground.told(Push, lambda each: each.ref == "refs/heads/main")
    assert (pushed.before, pushed.after, pushed.actor.name) == ("0" * 40, first, ada)
    assert pushed.url == ground.hosted.url

    ground.working.git("tag", "-a", "v1.0.0", "-m", "first")
    second = ground.working.commit({"a": "2"})
    await ground.push("refs/tags/v1.0.0", "HEAD:refs/heads/ünlike/main")
    tagged = await ground.told(Push, lambda each: each.ref == "refs/tags/v1.0.0")
    assert tagged.after == first
    branched = await ground.told(Push, lambda each: each.ref == "refs/heads/ünlike/main")
    assert branched.after == second

    request = await asyncio.to_thread(
        ground.gitea.pull, ground.hosted, "ünlike/main", "Greet differently", ground.hosted.owner
    )
    number = str(request["number"])
    opened = await ground.told(ChangeRequest, lambda each: each.action == "open")
    assert (opened.change, opened.branch, opened.base) == (number, "ünlike/main", "main")
    assert (opened.head, opened.fork, opened.author) == (second, False, ada)
    assert opened.order > 0

    third = ground.working.commit({"a": "3"})
    await ground.push("HEAD:refs/heads/ünlike/main")
    updated = await ground.told(ChangeRequest, lambda each: each.action == "update")
    assert (updated.change, updated.head) == (number, third)

    await asyncio.to_thread(
        ground.gitea.comment, ground.hosted, request["number"], "/test\n\nPlease.", ground.stranger
    )
    said = await ground.told(Comment, lambda each: each.change == number)
    assert (said.body, said.actor.name) == ("/test\n\nPlease.", ground.stranger.login)
    assert said.order > 0

    await ground.merge(request["number"])
    closed = await ground.told(ChangeRequest, lambda each: each.action == "close")
    assert (closed.change, closed.merged) == (number, True)

    await ground.push(":refs/heads/ünlike/main", ":refs/tags/v1.0.0")
    for ref in ("refs/heads/ünlike/main", "refs/tags/v1.0.0"):
        assert (await ground.told(RefDeleted, lambda each, ref=ref: each.ref == ref)).repository  # type: ignore[misc]


async def test_a_request_from_a_fork_is_known_as_one(ground: Ground) -> None:
    ground.working.commit({"a": "1"})
    await ground.push("HEAD:refs/heads/main")
    await ground.told(Push, lambda each: each.ref == "refs/heads/main")
    fork = await asyncio.to_thread(ground.gitea.fork, ground.hosted, ground.stranger)
    head = ground.working.commit({"a": "2"})
    await ground.push("HEAD:refs/heads/theirs", hosted=fork)
    login = ground.stranger.login
    await asyncio.to_thread(ground.gitea.pull, ground.hosted, f"{login}:theirs", "Mine", ground.stranger)
    opened = await ground.told(ChangeRequest, lambda each: each.action == "open")
    assert (opened.fork, opened.head, opened.author) == (True, head, login)
    assert opened.head_url == fork.url


async def test_what_gitea_delivers_again_is_a_duplicate(ground: Ground) -> None:
    ground.working.commit({"a": "1"})
    await ground.push("HEAD:refs/heads/main")
    await ground.told(Push, lambda each: each.ref == "refs/heads/main")
    before = dict(ground.parts.starter.started)
    known = await asyncio.to_thread(ground.gitea.deliveries, ground.hosted, ground.hook)
    for delivery in known:
        await asyncio.to_thread(ground.gitea.redeliver, ground.hosted, ground.hook, delivery)
    async with asyncio.timeout(ARRIVES_SECONDS):
        await ground.counting.repeated.wait()
    assert ground.parts.starter.started == before
