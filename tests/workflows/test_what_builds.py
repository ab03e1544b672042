"""What of a push builds: real Git, one repository with many components, tags, and messages that ask for none."""

import asyncio
import base64
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from temporalio import activity
from temporalio.testing import WorkflowEnvironment

from activities.git import Git, Output
from activities.source import Source
from activities.tags import Tags
from deploy.local.githttp import GitHttp
from model import ids, released
from model.build import BuildRequest, BuildResult
from model.component import Component
from model.delivery import DeliveryState
from model.failure import NotFound
from model.filters import Branches, Filters, Paths, follows
from model.filters import Tags as TagFilter
from model.key import ComponentKey
from model.push import ZERO_ID, Push
from model.repository import normalise
from model.source import Changes, ChangesRequest, SourceLocation
from tests.gitserver import Remote, Working, listening
from tests.workflows.conftest import Serve
from tests.workflows.world import World
from workflows.delivery import Delivery

COMPONENTS = 60
PASSWORDS = {"reads": "may-read", "cannot": "may-not"}


class Counting(Git):
    """Counts what goes over the network."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def run(self, folder: Path, arguments: Sequence[str], *more: Any, **options: Any) -> Output:
        self.calls[arguments[0]] += 1
        return await super().run(folder, arguments, *more, **options)


class Secrets:
    """Users named as their secrets."""

    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        if secret not in PASSWORDS:
            raise NotFound("SecretNotFound", f"no {namespace}/{secret}")
        return secret, PASSWORDS[secret]


class Releases:
    """The part of an API server that keeps releases."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.labels: dict[str, dict[str, str]] = {}

    async def list(self, api_version: str, kind: str, namespace: str, labels: str) -> list[dict[str, Any]]:
        wanted = dict(pair.split("=") for pair in labels.split(","))
        made = [released.manifest(release) for release in self._world.releases]
        return [obj for obj in made if wanted.items() <= obj["metadata"]["labels"].items()]

    async def merge(self, api_version: str, kind: str, name: str, namespace: str, patch: dict[str, Any]) -> None:
        self.labels.setdefault(name, {}).update(patch["metadata"]["labels"])


@dataclass
class Repository(World):
    """The scripted world, but with real Git."""

    source: Source | None = None
    tags: Tags | None = None
    builds_asked: list[BuildRequest] = field(default_factory=list)

    def all(self) -> list[Callable[..., Any]]:
        assert self.tags is not None
        return [*super().all(), self.tags.adopt]

    @activity.defn(name="resources.components_for")
    async def components_for(self, push: Push) -> list[Component]:
        named = [component for component in self.components if component.key in push.components]
        return named or [each for each in self.components if follows(each.filters, "main", push.ref)]

    @activity.defn(name="source.changes")
    async def changes(self, request: ChangesRequest) -> Changes:
        assert self.source is not None
        return await self.source.changes(request)

    @activity.defn(name="builds.submit")
    async def submit(self, request: BuildRequest) -> Any:
        self.builds_asked.append(request)
        return await super().submit(request)


@dataclass
class Ground:
    """A repository at a real server, and who builds from it."""

    environment: WorkflowEnvironment
    serve: Serve
    working: Working
    git: Counting
    world: Repository
    releases: Releases
    conversations: list[str]
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def component(self, number: int, **changed: Any) -> Component:
        secret = changed.pop("secret", "")
        return Component(
            key=ComponentKey(name=f"s{number}"),
            source=SourceLocation(url=self.working.url, app_path=f"services/s{number}", secret=secret),
            auto_deploy=False,
            **changed,
        )

    async def deliver(self, ref: str, before: str, after: str, **changed: Any) -> DeliveryState:
        number = next(self.numbers)
        push = Push.model_validate(
            {
                "repository": normalise(self.working.url),
                "url": self.working.url,
                "ref": ref,
                "before": before,
                "after": after,
                "sequence": number,
                "delivery": f"d{number}",
                **changed,
            }
        )
        return await self.environment.client.execute_workflow(
            Delivery.run, push, id=f"push/{self.working.url}/{number}", task_queue=ids.CONTROL_QUEUE
        )

    async def push(self, files: dict[str, str], message: str = "a change") -> tuple[str, str]:
        """Commit and push; the commits before and after."""
        before = self.working.git("rev-parse", "HEAD")
        after = self.working.commit(files, message)
        await self.working.push()
        return before, after


def guarded(git: GitHttp, conversations: list[str]) -> Starlette:
    """Lets those in whose password is right, and those without any to what is public; counts who begins to ask."""

    async def serve(request: Request) -> Response:
        if request.query_params.get("service") == "git-upload-pack":
            conversations.append(request.url.path)
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic" and base64.b64decode(text).decode().partition(":")[2] != PASSWORDS["reads"]:
            return PlainTextResponse("no\n", 401, {"WWW-Authenticate": "Basic"})
        return await git.serve(request)

    return Starlette(routes=[Route("/{path:path}", serve, methods=["GET", "POST"])])


@pytest_asyncio.fixture
async def ground(serve: Serve, temporal: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Ground]:
    root, hooks = tmp_path / "repositories", tmp_path / "hooks"
    root.mkdir()
    hooks.mkdir()
    conversations: list[str] = []
    async with listening(guarded(GitHttp(root, hooks, {}), conversations)) as url:
        working = Remote(url, root).clone(tmp_path / "working", "shop/all")
        files = {f"services/s{number}/app.js": "1" for number in range(COMPONENTS)}
        working.commit(files)
        await working.push()
        git = Counting()
        world = Repository(source=Source(tmp_path / "mirrors", Secrets(), git))
        releases = Releases(world)
        world.tags = Tags(releases, temporal.client)  # type: ignore[arg-type]
        ground = Ground(temporal, serve, working, git, world, releases, conversations)
        world.components = [ground.component(number) for number in range(COMPONENTS)]
        yield ground


def names(state: DeliveryState) -> list[str]:
    return sorted(built.component.name for built in state.builds)


async def test_of_sixty_components_only_the_touched_ones_build_after_one_fetch(ground: Ground) -> None:
    shared = Filters(paths=Paths(shared=("libs/money/**",), exclude=("*.md",)))
    ground.world.components[7] = ground.component(7, filters=shared)
    ground.world.components[8] = ground.component(8, filters=shared)
    async with ground.serve(ground.world):
        pushed = await ground.push({"services/s3/app.js": "2", "libs/money/round.js": "1", "services/s9/a": "1"})
        state = await ground.deliver("refs/heads/main", *pushed)
        assert (state.outcome, names(state)) == ("Built", ["s3", "s7", "s8", "s9"])
        assert (len(ground.conversations), ground.git.calls["fetch"]) == (1, 1)
        pushed = await ground.push({"services/s7/README.md": "words", "docs/x": "1"})
        state = await ground.deliver("refs/heads/main", *pushed)
        assert (state.outcome, names(state)) == ("NothingTouched", [])
        assert len(ground.conversations) == 2


async def test_a_new_branch_builds_everything_that_follows_it(ground: Ground) -> None:
    ground.world.components = [
        ground.component(1),
        *(ground.component(n, filters=Filters(branches=Branches(include=("release/*",)))) for n in (2, 3)),
    ]
    async with ground.serve(ground.world):
        head = ground.working.commit({"services/s2/app.js": "2"})
        await ground.working.push("HEAD:refs/heads/release/1")
        state = await ground.deliver("refs/heads/release/1", ZERO_ID, head)
        assert names(state) == ["s2", "s3"]


async def test_components_with_other_credentials_build_only_what_these_open(ground: Ground) -> None:
    ground.world.components = [
        ground.component(1, secret="cannot"),
        ground.component(2, secret="reads"),
        ground.component(3, secret="reads"),
        ground.component(4, secret="missing"),
        ground.component(5),
    ]
    async with ground.serve(ground.world):
        files = {f"services/s{number}/app.js": "2" for number in range(1, 6)}
        state = await ground.deliver("refs/heads/main", *await ground.push(files))
        assert (state.outcome, names(state)) == ("Built", ["s2", "s3", "s5"])
        warned = {note.component.key.name: note.reason for note in ground.world.notes if note.type == "Warning"}
        assert warned == {"s1": "GitAuthFailed", "s4": "SecretNotFound"}
        alone = await ground.deliver("refs/heads/main", *await ground.push({"services/s4/app.js": "3"}))
        assert (alone.outcome, names(alone)) == ("SecretNotFound", [])


async def test_a_message_that_asks_for_no_build_is_heard_except_by_people(ground: Ground) -> None:
    async with ground.serve(ground.world):
        before, after = await ground.push({"services/s1/app.js": "2"}, "Bump\n\nby a robot [skip ci]")
        state = await ground.deliver("refs/heads/main", before, after)
        assert (state.outcome, names(state)) == ("SkippedByMessage", [])
        assert "[skip ci]" in state.message
        key = ground.world.components[1].key
        asked = await ground.deliver("refs/heads/main", "", after, cause="trigger", components=(key,))
        assert (asked.outcome, names(asked)) == ("Built", ["s1"])


async def test_what_a_skipped_head_has_overtaken_builds(ground: Ground) -> None:
    async with ground.serve(ground.world):
        first = await ground.push({"services/s1/app.js": "2"})
        second = await ground.push({"services/s2/app.js": "2"}, "words [ci skip]")
        skipped = await ground.deliver("refs/heads/main", *second)
        late = await ground.deliver("refs/heads/main", *first)
        assert skipped.outcome == "SkippedByMessage"
        assert (late.outcome, late.commit, names(late)) == ("Built", first[1], ["s1"])


TAGGED = Filters(tags=TagFilter(versions=">=1.2 <2"))


async def tag(ground: Ground, name: str, commit: str, *annotated: str) -> str:
    """Tag a commit and push that; the tag's own id."""
    ground.working.git("tag", *annotated, name, commit)
    await ground.working.push(f"refs/tags/{name}")
    return ground.working.git("rev-parse", name)


async def test_a_tag_builds_whoever_follows_tags_once_as_its_version(ground: Ground) -> None:
    ground.world.components = [ground.component(1, filters=TAGGED), ground.component(2)]
    async with ground.serve(ground.world):
        _, head = await ground.push({"unrelated": "1"})
        told = await tag(ground, "v1.2.3", head, "--annotate", "--message=a release")
        assert told != head
        state = await ground.deliver("refs/tags/v1.2.3", ZERO_ID, told)
        assert (state.outcome, state.commit, names(state)) == ("Built", head, ["s1"])
        [release] = ground.world.releases
        assert (release.version, release.branch, release.commit.id) == ("1.2.3", "refs/tags/v1.2.3", head)
        labels = released.manifest(release)["metadata"]["labels"]
        assert labels["app.kubernetes.io/version"] == "1.2.3"
        for name in ("v2.0.0", "nightly"):
            ignored = await ground.deliver(f"refs/tags/{name}", ZERO_ID, await tag(ground, name, head))
            assert ignored.outcome == "NobodyFollows"


async def test_a_tag_of_what_is_being_built_waits_for_it_and_names_its_release(ground: Ground) -> None:
    ground.world.components = [ground.component(1, filters=TAGGED)]
    async with ground.serve(ground.world):
        before, head = await ground.push({"services/s1/app.js": "2"})
        gate = ground.world.build_gates[int(head, 16)] = asyncio.Event()
        building = asyncio.create_task(ground.deliver("refs/heads/main", before, head))
        while not ground.world.builds_asked:  # noqa: ASYNC110  (the world tells it no other way)
            await asyncio.sleep(0.05)
        tagging = asyncio.create_task(
            ground.deliver("refs/tags/v1.3.0", ZERO_ID, await tag(ground, "v1.3.0", head))
        )
        gate.set()
        assert (await building).outcome == "Built"
        state = await tagging
        [release] = ground.world.releases
        assert [(built.phase, release.name in built.message) for built in state.builds] == [("adopted", True)]
        assert ground.releases.labels[release.name]["towpath.dev/tag"] == "v1.3.0"
        assert len(ground.world.builds_asked) == 1


async def test_a_tag_of_what_was_built_in_vain_is_built(ground: Ground) -> None:
    ground.world.components = [ground.component(1, filters=TAGGED)]
    async with ground.serve(ground.world):
        before, head = await ground.push({"services/s1/app.js": "2"})
        ground.world.builds[int(head, 16)].append(
            BuildResult(phase="failed", failure="user", reason="TestsFailed")
        )
        await ground.deliver("refs/heads/main", before, head)
        state = await ground.deliver("refs/tags/v1.4.0", ZERO_ID, await tag(ground, "v1.4.0", head))
        assert [(built.phase, built.workflow.rpartition("/")[2]) for built in state.builds] == [("succeeded", "2")]
        [release] = ground.world.releases
        assert release.version == "1.4.0"


async def test_a_schedule_builds_what_was_built_before_and_dates_it_anew(ground: Ground) -> None:
    async with ground.serve(ground.world):
        before, head = await ground.push({"services/s1/app.js": "2"})
        await ground.deliver("refs/heads/main", before, head)
        key = ground.world.components[1].key
        state = await ground.deliver("refs/heads/main", "", "", cause="schedule", sequence=0, components=(key,))
        assert [built.phase for built in state.builds] == ["succeeded"]
        first, second = ground.world.builds_asked
        assert (first.number, second.number, second.cause) == (1, 2, "schedule")
        assert second.sequence > 1_600_000_000_000
