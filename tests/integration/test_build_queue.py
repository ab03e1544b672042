"""The queue before a build plane on the real Temporal: deaths without a word, the queue's own end, and strangers.

The rules alone are driven through a thousand lives in tests/unit/test_admission.py.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from activities.build_queues import BuildQueues
from deploy.local.settings import Settings
from model import admission, ids
from model.build_queue import Asking, Leaving, Limits, Place, QueueView
from model.failure import Failure
from model.proofkey import key_id
from model.slot import entry_of
from tests.building import Handle, Plane, empty, phase, request, start, until, view, waits
from tests.temporal_namespace import client_of
from worker.failures import FailureInterceptor
from worker.guard import Guard
from worker.keys import SealKeys
from worker.seals import Sealing
from workflows.build import Build
from workflows.build_queue import BuildQueue

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
KEY = Ed25519PrivateKey.generate().public_key()
SEALS = SealKeys(active="one", secrets={"one": b"1" * 32})
GUARD = Guard({key_id(KEY.public_bytes_raw()): KEY}, SEALS)


@dataclass
class Ground:
    """One test's plane, its world, and whoever serves it."""

    client: Client
    world: Plane
    plane: str
    stack: AsyncExitStack

    async def start(self, name: str, number: int = 1, project: str = "default", **changed: Any) -> Handle:
        """A build of a component of this test."""
        return await start(self.client, request(f"{name}-{self.plane}", number, project, self.plane, **changed))

    async def waits(self, number: int) -> QueueView:
        """The queue, once so many wait in it."""
        seen: QueueView = await until(lambda: waits(self.client, number, self.plane), f"{number} wait")
        return seen

    async def runs(self, number: int) -> None:
        """Wait until so many have been submitted."""
        await until(lambda: len(self.world.submitted) >= number, f"{number} run")

    async def serve_plane(self) -> None:
        """A worker of the build plane."""
        world = self.world
        activities: list[Callable[..., Any]] = [world.submit, world.older, world.watch_build, world.stop]
        await self.stack.enter_async_context(
            Worker(self.client, task_queue=ids.build_queue(self.plane), activities=activities)
        )

    @property
    def queue(self) -> Any:
        """The queue's workflow."""
        return self.client.get_workflow_handle(ids.queue(self.plane))


Planes = Callable[..., Any]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client() -> AsyncIterator[Client]:
    """A Temporal namespace that goes with the tests; what its activities say is sealed."""
    name = f"test-queue-{uuid.uuid4().hex[:8]}"
    client = await client_of(Settings.from_environment(), name, interceptors=[Sealing(SEALS)])
    yield client
    await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


@pytest.fixture
def served(client: Client) -> Planes:
    """A plane with a limit, and guarded workers with the real activities that concern the queue."""

    @asynccontextmanager
    async def plane(running: int, away: bool = False, **options: Any) -> AsyncIterator[Ground]:
        world = Plane(limits=Limits(running=running))
        queues = BuildQueues(client, world)
        activities: list[Callable[..., Any]] = [
            queues.enter,
            queues.wake,
            queues.look,
            world.tell,
            world.record_release,
        ]
        async with AsyncExitStack() as stack:
            for queue, workflows in ((ids.CONTROL_QUEUE, Build), (ids.ADMISSION_QUEUE, BuildQueue)):
                worker = Worker(
                    client,
                    task_queue=queue,
                    workflows=[workflows],
                    activities=activities,
                    interceptors=[FailureInterceptor(), GUARD],
                    workflow_failure_exception_types=[Failure],
                    **(options if workflows is BuildQueue else {}),
                )
                await stack.enter_async_context(worker)
            ground = Ground(client, world, f"plane-{uuid.uuid4().hex[:6]}", stack)
            if not away:
                await ground.serve_plane()
            try:
                yield ground
            finally:
                world.end.set()
                await until(lambda: empty(client, ground.plane), "all builds have ended")
                await ground.queue.terminate("the test is over")

    return plane


async def ended(handles: Iterable[Handle]) -> set[str]:
    """The phases in which builds have ended."""
    return {(await handle.result()).phase for handle in handles}


async def test_a_build_that_is_terminated_loses_its_slot_without_a_word(
    served: Planes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LOOK_SECONDS", 0.5)
    async with served(1) as ground:
        running = await ground.start("one")
        await ground.runs(1)
        waiting = await ground.start("two")
        await until(lambda: phase(waiting, "queued"), "the second waits")
        await running.terminate("without a word")
        await ground.runs(2)
        ground.world.end.set()
        assert await ended([waiting]) == {"succeeded"}


async def test_a_queue_that_was_terminated_counts_what_runs_and_forgets_nobody(served: Planes) -> None:
    async with served(2) as ground:
        running = [await ground.start(f"r{number}") for number in range(2)]
        await ground.runs(2)
        waiting = [await ground.start(f"w{number}") for number in range(3)]
        await ground.waits(3)
        await ground.queue.terminate("the test wants to know")
        late = await ground.start("late")
        seen = await ground.waits(4)
        assert {each.entry.build for each in seen.running} == {handle.id for handle in running}
        assert seen.waiting[-1].entry.build == late.id
        assert len(ground.world.submitted) == 2
        ground.world.end.set()
        assert await ended([*running, *waiting, late]) == {"succeeded"}
        assert len(ground.world.submitted) == 6


async def test_who_leaves_an_ended_queue_wakes_it_for_those_who_wait(served: Planes) -> None:
    async with served(1) as ground:
        running = await ground.start("one")
        await ground.runs(1)
        waiting = await ground.start("two")
        await until(lambda: phase(waiting, "queued"), "the second waits")
        await ground.queue.terminate("the test wants to know")
        ground.world.end.set()
        assert await ended([running, waiting]) == {"succeeded"}
        events = [event async for event in waiting.fetch_history_events()]
        assert not [event for event in events if event.HasField("timer_fired_event_attributes")]


async def test_a_queue_whose_worker_remembers_nothing_changes_nothing(served: Planes) -> None:
    async with served(2, max_cached_workflows=0) as ground:
        ground.world.end.set()
        handles = [await ground.start(f"c{number}", project=f"p{number % 3}") for number in range(12)]
        assert await ended(handles) == {"succeeded"}
        assert ground.world.most <= 2
        assert len(ground.world.submitted) == 12


async def test_while_nobody_serves_the_plane_builds_wait_and_say_so(
    served: Planes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LOOK_SOON_SECONDS", 0.5)
    async with served(2, away=True) as ground:
        build = await ground.start("one")
        seen = await until(lambda: _away(ground), "nobody serves the plane")
        assert seen.waiting[0].reason == "PlaneAway"
        assert not ground.world.submitted
        await ground.serve_plane()
        ground.world.end.set()
        assert await ended([build]) == {"succeeded"}


async def _away(ground: Ground) -> QueueView | None:
    seen = await view(ground.client, ground.plane)
    return seen if seen.away_since and seen.waiting else None


async def test_a_queue_goes_on_as_new_and_keeps_who_runs_and_who_waits(
    served: Planes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "ASKED_LIMIT", 3)
    async with served(1) as ground:
        handles = [await ground.start("first")]
        await ground.runs(1)
        begun = (await ground.queue.describe()).run_id
        for number in range(5):
            handles.append(await ground.start(f"c{number}"))
            await ground.waits(number + 1)
        await until(lambda: _other_run(ground, begun), "it goes on as a new run")
        assert len((await ground.waits(5)).running) == 1
        ground.world.end.set()
        assert await ended(handles) == {"succeeded"}
        assert ground.world.most == 1
        assert [name.partition("-")[0] for name in ground.world.submitted] == [
            "first",
            "c0",
            "c1",
            "c2",
            "c3",
            "c4",
        ]


async def _other_run(ground: Ground, begun: str) -> bool:
    return bool((await ground.queue.describe()).run_id != begun)


async def test_what_is_asked_at_once_goes_out_together(served: Planes) -> None:
    async with served(1) as ground:
        running = await ground.start("first")
        await ground.runs(1)
        queues = BuildQueues(ground.client, ground.world)
        names = [f"build/default/nobody-{ground.plane}/{number:03d}/1" for number in range(100)]
        asked = [entry_of(request(name, 1, plane=ground.plane), name, 0) for name in names]
        answers = await asyncio.gather(
            *(queues.enter(Asking(plane=ground.plane, entries=(entry,))) for entry in asked)
        )
        places = [answer.places[0] for answer in answers]
        assert [(place.build, place.position) for place in places] == [
            (name, at) for at, name in enumerate(names, 1)
        ]
        accepted = "workflow_execution_update_accepted_event_attributes"
        updates = [event async for event in ground.queue.fetch_history_events() if event.HasField(accepted)]
        assert len(updates) <= 10
        for name in names:
            await ground.queue.signal("leave", Leaving(build=name))
        ground.world.end.set()
        assert await ended([running]) == {"succeeded"}


async def test_what_has_happened_replays(served: Planes) -> None:
    replayer = Replayer(
        workflows=[Build, BuildQueue],
        data_converter=pydantic_data_converter,
        workflow_failure_exception_types=[Failure],
        interceptors=[GUARD],
    )
    async with served(1) as ground:
        handles = [await ground.start("one")]
        await ground.runs(1)
        handles.append(await ground.start("two"))
        await ground.waits(1)
        handles += [await ground.start("one", 2), await ground.start("two", 2)]
        await until(lambda: phase(handles[3], "queued"), "the newer one waits in its place")
        await ground.runs(2)
        ground.world.end.set()
        assert await ended(handles) == {"succeeded", "superseded"}
        await until(lambda: empty(ground.client, ground.plane), "nobody is left")
        for handle in (*handles, ground.queue):
            await replayer.replay_workflow(await handle.fetch_history())


async def test_nobody_but_towpath_gets_a_build_in_or_out(served: Planes) -> None:
    async with served(1) as ground:
        running = await ground.start("one")
        await ground.runs(1)
        waiting = await ground.start("two")
        await until(lambda: phase(waiting, "queued"), "the second waits")
        config: Any = {**ground.client.config(), "interceptors": []}
        stranger = Client(**config)
        entry = entry_of(request("mine", 1, plane=ground.plane, priority="urgent"), "build/default/mine/1/1", 0)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await stranger.get_workflow_handle(ground.queue.id).execute_update(
                "enter", Asking(plane=ground.plane, entries=(entry,))
            )
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "SealBroken"
        granted = Place(build=waiting.id, result="granted")
        await stranger.get_workflow_handle(waiting.id).signal("granted", granted)
        assert await phase(waiting, "queued")
        assert len(ground.world.submitted) == 1
        ground.world.end.set()
        assert await ended([running, waiting]) == {"succeeded"}
