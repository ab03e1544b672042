"""Deliveries, the ledger and sweeps over real Git, in skipped time: what is lost, doubled or led back comes to the
same builds, once each."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.testing import WorkflowEnvironment

from activities.ledgers import Ledgers
from activities.source import Source
from activities.sweeps import Sweeps
from model import ids
from model.component import Component
from model.delivery import DeliveryState
from model.failure import InfrastructureFailure, UserFailure
from model.key import ComponentKey
from model.push import ZERO_ID, Push
from model.release import Release
from model.repository import branch_of, normalise
from model.resources.repository import Repository
from model.source import Changes, ChangesRequest, SourceLocation
from model.sweep import Redelivered, SweepLook, SweepRequest, SweepState
from tests.gitserver import Remote, Working
from tests.gitserver import serving as serving_git
from tests.unit.test_source import NoSecrets
from tests.workflows.conftest import Serve
from tests.workflows.world import World, release
from workflows.delivery import Delivery
from workflows.sweep import Sweep

MAIN = "refs/heads/main"
FOLDERS = ("api", "web")


@dataclass
class GitWorld(World):
    """A world whose source is real: two components in two folders of one repository, both on main."""

    source: Source | None = None
    url: str = ""
    sweeps: Sweeps | None = None
    repeated: Redelivered = field(default_factory=Redelivered)
    outages: list[Exception] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)

    def all(self) -> list[Callable[..., Any]]:
        assert self.sweeps is not None
        return [
            *super().all(),
            self.look,
            self.sweeps.standing,
            self.redeliver,
        ]

    @property
    def repository(self) -> str:
        return normalise(self.url)

    @activity.defn(name="resources.components_for")
    async def components_for(self, push: Push) -> list[Component]:
        return self.following(self.components, push)

    @activity.defn(name="source.changes")
    async def changes(self, request: ChangesRequest) -> Changes:
        assert self.source is not None
        if self.refusals:
            raise self.refusals.pop(0)
        return await self.source.changes(request)

    @activity.defn(name="sweeps.look")
    async def look(self, request: SweepRequest) -> SweepLook:
        assert self.sweeps is not None
        if self.outages:
            raise self.outages.pop(0)
        return await self.sweeps.look(request)

    @activity.defn(name="sweeps.redeliver")
    async def redeliver(self, _request: SweepRequest) -> Redelivered:
        return self.repeated

    async def built_from(self, repository: str) -> list[Component]:
        return self.components if repository == self.repository else []

    def following(self, components: Sequence[Component], push: Push) -> list[Component]:
        return [each for each in components if each.source and each.source.branch == branch_of(push.ref)]

    async def releases_of(self, key: ComponentKey) -> list[Release]:
        return [made for made in self.releases if made.component == key]

    def built(self) -> list[tuple[str, str]]:
        """What was released: component and commit, in order."""
        return [(made.component.name, made.commit.id) for made in self.releases]


@dataclass
class Declared:
    """The declared objects, as the sweep reads them."""

    world: GitWorld

    async def built_from(self, repository: str) -> list[Component]:
        return await self.world.built_from(repository)

    def following(self, components: Sequence[Component], push: Push) -> list[Component]:
        return self.world.following(components, push)

    async def releases(self, key: ComponentKey) -> list[Release]:
        return await self.world.releases_of(key)


class NoRepositories:
    async def every(self, _namespace: str, _address: str) -> list[Repository]:
        return []


@pytest_asyncio.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    async with serving_git(tmp_path / "server") as found:
        yield found


@pytest.fixture
def working(remote: Remote, tmp_path: Path) -> Working:
    return remote.clone(tmp_path / "working", "team/app")


@dataclass
class Stage:
    """All of it together."""

    world: GitWorld
    environment: WorkflowEnvironment
    working: Working
    sweeps: int = 0

    async def announce(
        self, before: str, after: str, delivery: str = "d", forced: bool = False
    ) -> DeliveryState | None:
        """What the receiver does with a push; None for a duplicate."""
        push = Push(
            repository=self.world.repository, url=self.world.url, ref=MAIN, before=before, after=after,
            delivery=delivery, sequence=self.sweeps + 1,
        )  # fmt: skip
        try:
            return await self.environment.client.execute_workflow(
                Delivery.run,
                push,
                id=ids.push(push.repository, push.ref, push.after),
                task_queue=ids.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            return None

    async def sweep(self, **asked: Any) -> SweepState:
        """One sweep, and what it has started until that has ended."""
        self.sweeps += 1
        request = SweepRequest.model_validate({"repository": self.world.repository, **asked})
        swept = await self.environment.client.execute_workflow(
            Sweep.run, request, id=ids.sweep(self.world.repository, str(self.sweeps)), task_queue=ids.CONTROL_QUEUE
        )
        for found in swept.found:
            if found.found == "push" and found.result == "started":
                handle: WorkflowHandle[Delivery, DeliveryState]
                handle = self.environment.client.get_workflow_handle_for(Delivery.run, found.workflow)
                await handle.result()
        return swept


@pytest_asyncio.fixture
async def stage(
    serve: Serve, temporal: WorkflowEnvironment, working: Working, tmp_path: Path
) -> AsyncIterator[Stage]:
    source = Source(tmp_path / "cache", NoSecrets())
    components = [
        Component(
            key=ComponentKey(name=folder),
            uid=folder,
            auto_deploy=False,
            source=SourceLocation(url=working.url, app_path=folder),
        )
        for folder in FOLDERS
    ]
    world = GitWorld(components=components, source=source, url=working.url)
    world.sweeps = Sweeps(temporal.client, source, Ledgers(temporal.client), Declared(world), NoRepositories())
    async with AsyncExitStack() as stack:
        environment = await stack.enter_async_context(serve(world))
        yield Stage(world, environment, working)


async def test_a_lost_push_is_found_once_and_its_late_webhook_starts_nothing(stage: Stage) -> None:
    first = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, first)
    lost = stage.working.commit({"web/x": "2"})
    await stage.working.push()
    swept = await stage.sweep()
    assert [(found.subject, found.commit, found.result) for found in swept.found] == [(MAIN, lost, "started")]
    assert await stage.announce(first, lost) is None
    again = await stage.sweep()
    assert (again.outcome, again.found) == ("NothingMissed", [])
    assert sorted(stage.world.built()) == sorted([("api", first), ("web", first), ("web", lost)])
    told = [
        (note.component.key.name, note.reason) for note in stage.world.notes if note.reason == "MissedPushFound"
    ]
    assert told == [("web", "MissedPushFound")]


async def test_a_repository_that_is_seen_first_is_taken_as_it_is(stage: Stage) -> None:
    head = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    for folder in FOLDERS:
        stage.world.releases.append(_release(folder, head))
    before = list(stage.world.releases)
    first = await stage.sweep()
    assert (first.outcome, first.recorded, first.refs) == ("NothingMissed", 1, 1)
    assert stage.world.releases == before
    after = stage.working.commit({"api/x": "2"})
    await stage.working.push()
    assert (await stage.sweep()).outcome == "Found"
    assert stage.world.built()[2:] == [("api", after)]


async def test_a_webhook_on_its_way_while_the_repository_is_seen_first_is_not_lost(stage: Stage) -> None:
    before = stage.working.commit({"api/x": "1", "web/x": "1"})
    head = stage.working.commit({"api/x": "2"})
    await stage.working.push()
    stage.world.releases += [_release(folder, before) for folder in FOLDERS]
    await stage.sweep()
    delivered = await stage.announce(before, head)
    assert delivered is not None
    assert stage.world.built()[2:] == [("api", head)]


async def test_a_new_branch_that_nobody_announced_is_built_and_one_that_nobody_follows_is_not(
    stage: Stage,
) -> None:
    head = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push("HEAD:refs/heads/other")
    assert (await stage.sweep()).recorded == 1
    await stage.working.push("HEAD:refs/heads/main")
    await stage.working.push("HEAD:refs/heads/feature")
    swept = await stage.sweep()
    assert [found.subject for found in swept.found] == [MAIN]
    assert sorted(stage.world.built()) == [("api", head), ("web", head)]
    assert (await stage.sweep()).outcome == "NothingMissed"


async def test_a_branch_that_was_deleted_unannounced_ends_what_stood_for_it_once(stage: Stage) -> None:
    head = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    await stage.working.push("HEAD:refs/heads/gone")
    await stage.announce(ZERO_ID, head)
    await stage.sweep()
    await stage.working.push(":refs/heads/gone")
    swept = await stage.sweep()
    assert [(found.found, found.subject, found.result) for found in swept.found] == [
        ("deleted", "refs/heads/gone", "started")
    ]
    assert swept.found[0].workflow == ids.deleted(stage.world.repository, "refs/heads/gone", head, "")
    assert (await stage.sweep()).found == []


async def test_a_repository_that_has_lost_everything_ends_nothing(stage: Stage, remote: Remote) -> None:
    head = stage.working.commit({"api/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, head)
    [packed] = (remote.root / "team").iterdir()
    (packed / "refs" / "heads" / "main").unlink()
    swept = await stage.sweep()
    assert (swept.outcome, swept.found) == ("RepositoryEmpty", [])


async def test_led_back_without_the_sender_saying_force_the_repeated_id_leads_to_a_look(stage: Stage) -> None:
    first = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, first, "one")
    second = stage.working.commit({"api/x": "2"})
    await stage.working.push()
    await stage.announce(first, second, "two")
    await stage.working.push(f"{first}:{MAIN}", "--force")
    assert await stage.announce(second, first, "three") is None, "the id of the first push"
    looked = await stage.sweep(because="duplicate", refs=[MAIN], delivery="three", before=second)
    assert [(found.commit, found.result) for found in looked.found] == [(first, "started")]
    # An old signed body that is sent once more starts nothing, whatever delivery id it bears.
    for delivery in ("two", "four"):
        replayed = await stage.sweep(because="duplicate", refs=[MAIN], delivery=delivery, before=first)
        assert replayed.found == []
    assert len(stage.world.built()) == len(set(stage.world.built())) == 3


async def test_while_git_is_down_a_sweep_waits_and_then_finds_it(stage: Stage) -> None:
    first = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, first)
    lost = stage.working.commit({"api/x": "2"})
    await stage.working.push()
    stage.world.outages += [InfrastructureFailure("GitUnreachable", "the host is down")] * 5
    swept = await stage.sweep()
    assert [found.commit for found in swept.found] == [lost]
    assert stage.world.outages == []


async def test_a_push_that_could_not_be_read_is_tried_again_and_not_for_ever(stage: Stage) -> None:
    first = stage.working.commit({"api/x": "1", "web/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, first)
    second = stage.working.commit({"api/x": "2"})
    await stage.working.push()
    refused = UserFailure("GitAuthFailed", "refuses the credentials")
    stage.world.refusals += [refused] * 2
    announced = await stage.announce(first, second)
    assert announced is not None
    assert announced.outcome == "GitAuthFailed"
    assert (await stage.sweep()).found[0].result == "started"
    assert ("api", second) not in stage.world.built(), "the credentials were still wrong"
    assert (await stage.sweep()).found[0].result == "started"
    assert ("api", second) in stage.world.built()
    third = stage.working.commit({"api/x": "3"})
    await stage.working.push()
    stage.world.refusals += [refused] * 100
    for _ in range(7):
        swept = await stage.sweep()
    assert [(found.commit, found.result) for found in swept.found] == [(third, "given-up")]


async def test_two_pushes_whose_deliveries_run_at_once_leave_the_newest_head_in_the_ledger(stage: Stage) -> None:
    head = stage.working.commit({"api/x": "0", "web/x": "0"})
    await stage.working.push()
    begun = await stage.announce(ZERO_ID, head)
    assert begun is not None
    assert begun.outcome == "Built"
    moves = []
    for number in range(1, 4):
        after = stage.working.commit({f"{FOLDERS[number % 2]}/x": str(number)})
        await stage.working.push()
        moves.append((head, after))
        head = after
    ended = await asyncio.gather(*(stage.announce(*move) for move in reversed(moves)))
    assert {state.outcome for state in ended if state is not None} <= {"Built", "NothingTouched", "AlreadyHandled"}
    kept = await Ledgers(stage.environment.client).all(stage.world.repository)
    assert kept.refs[MAIN].commit == head
    assert (await stage.sweep()).outcome == "NothingMissed"
    assert len(stage.world.built()) == len(set(stage.world.built()))
    assert {("api", head), ("web", head)} <= set(stage.world.built())


async def test_what_a_providers_log_says_was_never_delivered_is_asked_for_again(stage: Stage) -> None:
    head = stage.working.commit({"api/x": "1"})
    await stage.working.push()
    await stage.announce(ZERO_ID, head)
    stage.world.repeated = Redelivered(deliveries=("one", "two"))
    swept = await stage.sweep()
    assert [(found.found, found.subject) for found in swept.found] == [("delivery", "one"), ("delivery", "two")]
    # A look at one ref asks nobody else.
    assert (await stage.sweep(refs=[MAIN])).found == []


def _release(folder: str, commit: str) -> Release:
    made = release(1)
    return made.model_copy(
        update={"component": ComponentKey(name=folder), "commit": made.commit.model_copy(update={"id": commit})}
    )
