"""The ledger and sweeps on the real Temporal: what it has forgotten is not done again, whoever dies in between
nothing is lost, and schedules follow what is declared."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.build_queues import BuildQueues
from activities.ledgers import Ledgers
from activities.schedules import Planned, Schedules
from activities.source import Source
from activities.sweeps import Sweeps
from activities.sweepwatch import SweepWatch
from deploy.local.settings import Settings
from model import ids
from model.component import Component
from model.failure import Failure
from model.key import ComponentKey
from model.push import ZERO_ID
from model.source import SourceLocation
from model.sweep import SweepRequest
from tests.gitserver import Remote, serving
from tests.temporal_namespace import client_of
from tests.triggers.fakes import FakeApiServer, component_object, repository_object
from tests.unit.test_source import NoSecrets
from tests.workflows.test_sweeps import FOLDERS, MAIN, Declared, GitWorld, NoRepositories, Stage
from worker.failures import FailureInterceptor
from worker.planes import WORKFLOWS, activities_of
from workflows.ledger import Ledger

NAMESPACE = "towpath-test-sweeps"
pytestmark = pytest.mark.stack


@pytest.fixture(scope="session")
async def temporal() -> Client:
    """A client for a namespace of our own."""
    return await client_of(Settings.from_environment(), NAMESPACE)


@pytest_asyncio.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Remote]:
    async with serving(tmp_path / "server") as found:
        yield found


@asynccontextmanager
async def working_on(client: Client, world: GitWorld) -> AsyncIterator[None]:
    """Workers of all planes over the world."""
    builds = BuildQueues(client, world)
    async with AsyncExitStack() as stack:
        for queue in (ids.CONTROL_QUEUE, ids.ADMISSION_QUEUE, ids.build_queue("default")):
            worker = Worker(
                client,
                task_queue=queue,
                workflows=() if queue == ids.build_queue("default") else WORKFLOWS,
                activities=[*world.all(), builds.enter, builds.wake, *activities_of(Ledgers(client))],
                interceptors=[FailureInterceptor()],
                workflow_failure_exception_types=[Failure],
            )
            await stack.enter_async_context(worker)
        yield


@pytest.fixture
def stage(temporal: Client, remote: Remote, tmp_path: Path) -> Stage:
    """A repository of its own each time, since namespaces remember."""
    working = remote.clone(tmp_path / "working", f"team/{uuid.uuid4().hex}")
    source = Source(tmp_path / "cache", NoSecrets())
    components = [
        Component(
            key=ComponentKey(name=f"{folder}-{uuid.uuid4().hex[:8]}"),
            uid=folder,
            auto_deploy=False,
            source=SourceLocation(url=working.url, app_path=folder),
        )
        for folder in FOLDERS
    ]
    world = GitWorld(components=components, source=source, url=working.url)
    world.sweeps = Sweeps(temporal, source, Ledgers(temporal), Declared(world), NoRepositories())
    return Stage(world, WorkflowEnvironment.from_client(temporal), working)


async def test_what_temporal_has_forgotten_is_not_built_again(temporal: Client, stage: Stage) -> None:
    """Temporal forgets what has ended, and entities stay: as in another namespace that has the ledger alone. (To
    delete what has ended, by its API, takes it half a minute.)"""
    async with working_on(temporal, stage.world):
        first = stage.working.commit({"api/x": "1", "web/x": "1"})
        await stage.working.push()
        await stage.announce(ZERO_ID, first)
        second = stage.working.commit({"api/x": "2"})
        await stage.working.push()
        await stage.announce(first, second)
        kept = await Ledgers(temporal).all(stage.world.repository)
    built = stage.world.built()
    assert len(built) == 3
    later = await client_of(Settings.from_environment(), f"{NAMESPACE}-later")
    await later.start_workflow(
        Ledger.run, kept, id=ids.ledger(stage.world.repository), task_queue=ids.ADMISSION_QUEUE
    )
    stage.environment = WorkflowEnvironment.from_client(later)
    async with working_on(later, stage.world):
        for before, after in ((first, second), (ZERO_ID, first)):
            again = await stage.announce(before, after)
            assert again is not None, "Temporal takes it for new"
            assert (again.outcome, again.builds) == ("AlreadyHandled", [])
    # And where the ledger is gone as well: a release that is kept is not built a second time.
    bare = await client_of(Settings.from_environment(), f"{NAMESPACE}-bare")
    stage.environment = WorkflowEnvironment.from_client(bare)
    async with working_on(bare, stage.world):
        again = await stage.announce(first, second)
        assert again is not None
        assert [each.phase for each in again.builds] == ["adopted"]
    assert stage.world.built() == built


async def test_the_ledger_outlives_its_workers(temporal: Client, stage: Stage) -> None:
    async with working_on(temporal, stage.world):
        first = stage.working.commit({"api/x": "1", "web/x": "1"})
        await stage.working.push()
        await stage.announce(ZERO_ID, first)
    lost = stage.working.commit({"web/x": "2"})
    await stage.working.push()
    async with working_on(temporal, stage.world):
        swept = await stage.sweep()
        assert [(found.commit, found.result) for found in swept.found] == [(lost, "started")]
        kept = await Ledgers(temporal).all(stage.world.repository)
        assert kept.refs[MAIN].commit == lost


async def test_two_pushes_at_once_are_both_in_the_ledger(temporal: Client, stage: Stage) -> None:
    async with working_on(temporal, stage.world):
        head = stage.working.commit({"api/x": "0", "web/x": "0"})
        await stage.working.push()
        await stage.announce(ZERO_ID, head)
        moves = []
        for number in range(1, 6):
            after = stage.working.commit({f"{FOLDERS[number % 2]}/x": str(number)})
            await stage.working.push()
            moves.append((head, after))
            head = after
        await asyncio.gather(*(stage.announce(*move) for move in moves))
        kept = await Ledgers(temporal).all(stage.world.repository)
        assert kept.refs[MAIN].commit == head
        assert len(stage.world.built()) == len(set(stage.world.built()))


async def schedules(client: Client, prefix: str) -> set[str]:
    return {each.id async for each in await client.list_schedules() if each.id.startswith(prefix)}


async def until(client: Client, prefix: str, wanted: set[str]) -> None:
    """Lists of schedules are behind by what visibility takes."""
    async with asyncio.timeout(60):
        while await schedules(client, prefix) != wanted:  # noqa: ASYNC110  (asked from outside)
            await asyncio.sleep(0.1)


async def test_schedules_follow_what_is_wanted_and_say_it_anew_when_it_changes(temporal: Client) -> None:
    prefix = f"sweep/{uuid.uuid4().hex}"
    kept = Schedules(temporal)

    def plan(every: float) -> Planned:
        return Planned("Sweep", SweepRequest(repository="git.test/app"), every=every, note="a test")

    await asyncio.gather(*(kept.keep(prefix, {f"{prefix}/a": plan(900)}) for _ in range(3)))
    await until(temporal, prefix, {f"{prefix}/a"})
    await kept.keep(prefix, {f"{prefix}/a": plan(60), f"{prefix}/b": plan(900)})
    described = await temporal.get_schedule_handle(f"{prefix}/a").describe()
    assert [interval.every.total_seconds() for interval in described.schedule.spec.intervals] == [60]
    await until(temporal, prefix, {f"{prefix}/a", f"{prefix}/b"})
    await kept.keep(prefix, {})
    await until(temporal, prefix, set())


async def test_every_declared_repository_has_its_schedule(temporal: Client) -> None:
    name = uuid.uuid4().hex
    own, other = f"https://git.example/{name}/own.git", f"https://git.example/{name}/other.git"
    quiet = repository_object(f"https://git.example/{name}/quiet.git", "s", name="quiet")
    quiet["spec"]["sweep"] = {"suspended": True}
    often = repository_object(own, "s", name="often")
    often["spec"]["sweep"] = {"every": "5m"}
    parameters = {"repository": {"url": other, "revision": {"branch": "main"}}}
    component = component_object()
    component["spec"] = {
        "componentType": {"name": "deployment/service"},
        "workflow": {"name": "dockerfile-builder", "parameters": parameters},
    }
    server = FakeApiServer(quiet, often, component)
    watch = SweepWatch(server, temporal, prefix=f"sweep/git.example%2F{name}")
    task = asyncio.create_task(watch.run())
    try:
        wanted = {ids.sweep(f"git.example/{name}/{each}") for each in ("own", "other")}
        await until(temporal, f"sweep/git.example%2F{name}", wanted)
        described = await temporal.get_schedule_handle(ids.sweep(f"git.example/{name}/own")).describe()
        assert [interval.every.total_seconds() for interval in described.schedule.spec.intervals] == [300]
        server.tell("DELETED", often)
        await until(temporal, f"sweep/git.example%2F{name}", {ids.sweep(f"git.example/{name}/other")})
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await Schedules(temporal).keep(f"sweep/git.example%2F{name}", {})
        # What the schedules have begun is nobody's to end.
        async for run in temporal.list_workflows(f"WorkflowId STARTS_WITH 'sweep/git.example%2F{name}'"):
            with suppress(RPCError):
                await temporal.get_workflow_handle(run.id).terminate("the test is over")
