"""Hooks around deployments over a scripted world: once each, undone in reverse, and never silently lost."""

import asyncio

from temporalio.testing import WorkflowEnvironment

from model import ids
from model.actor import Actor
from model.hook import Hook
from model.job import JobResult
from model.key import ComponentKey
from model.lane import LaneState, Order
from model.promotion import PromotionRequest, PromotionState
from tests.workflows.conftest import Serve
from tests.workflows.shop import Shop, member, one_step
from workflows.lane import Lane
from workflows.promotion import Promotion

ALICE = Actor(kind="person", name="alice")
MIGRATE = Hook(name="migrate", command=("migrate", "up"), compensation=("migrate", "down"))
WARM = Hook(name="warm", command=("warm",), compensation=("cool",))
NOTIFY = Hook(name="notify", command=("notify",))
FAILED = JobResult(
    result="failed", reason="JobFailed", message="It exited with code 3.", exit_code=3, log="no such table"
)


def shop(before: tuple[Hook, ...] = (MIGRATE,), after: tuple[Hook, ...] = ()) -> Shop:
    world = Shop(pipeline=one_step(hooks_before=before, hooks_after=after))
    world.has("web")
    return world


async def promote(environment: WorkflowEnvironment, number: int) -> PromotionState:
    release = member("web", number)
    return await environment.client.execute_workflow(
        Promotion.run,
        PromotionRequest(release=release),
        id=ids.promotion(release.component, release.name),
        task_queue=ids.CONTROL_QUEUE,
    )


async def lane(environment: WorkflowEnvironment) -> LaneState:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(ComponentKey(name="web"), "production"))
    return await handle.query(Lane.state)


async def order(environment: WorkflowEnvironment, given: Order) -> None:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(ComponentKey(name="web"), "production"))
    await handle.execute_update(Lane.order, given, id=given.id)


async def settled(environment: WorkflowEnvironment, revision: int) -> LaneState:
    while True:
        state = await lane(environment)
        if any(entry.number == revision and entry.finished_at for entry in state.history):
            return state
        await asyncio.sleep(0.02)


async def test_hooks_run_before_and_after_with_the_new_release(serve: Serve) -> None:
    world = shop(before=(MIGRATE,), after=(WARM, NOTIFY))
    async with serve(world) as environment:
        ended = await promote(environment, 1)
        (revision,) = (await lane(environment)).history
    assert ended.steps["production"].phase == "healthy"
    assert world.log == ["job migrate web-1", "web-1", "job warm web-1", "job notify web-1"]
    assert revision.verdict is not None
    assert "hook migrate (before)" in [seen.subject for seen in revision.verdict.observations]


async def test_a_hook_that_fails_before_leaves_everything_as_it_was_and_undoes_those_before_it(
    serve: Serve,
) -> None:
    world = shop(before=(MIGRATE, WARM, NOTIFY))
    async with serve(world) as environment:
        await promote(environment, 1)
        world.log.clear()
        world.job_results["notify"] = FAILED
        ended = await promote(environment, 2)
        state = await lane(environment)
    step = ended.steps["production"]
    assert (step.phase, step.reason) == ("failed", "HookFailed")
    assert "no such table" in step.message
    assert world.log == [
        "job migrate web-2", "job warm web-2", "job notify web-2", "job undo-warm web-2", "job undo-migrate web-2",
    ]  # fmt: skip
    assert state.current is not None
    assert (state.current.name, state.hold) == ("web-1", None)
    assert state.history[-1].result == "untouched"


async def test_a_hook_that_fails_after_takes_the_release_back_and_undoes_the_others(serve: Serve) -> None:
    world = shop(before=(MIGRATE,), after=(WARM,))
    async with serve(world) as environment:
        await promote(environment, 1)
        world.log.clear()
        world.job_results["warm"] = FAILED
        ended = await promote(environment, 2)
    assert ended.steps["production"].phase == "rolled-back"
    assert world.log == ["job migrate web-2", "web-2", "job warm web-2", "job undo-migrate web-2", "web-1"]


async def test_a_release_that_crashes_has_its_migration_undone_before_the_last_good_one_runs(
    serve: Serve,
) -> None:
    world = shop()
    world.crashing = {"web-2"}
    async with serve(world) as environment:
        await promote(environment, 1)
        world.log.clear()
        await promote(environment, 2)
    assert world.log == ["job migrate web-2", "web-2", "job undo-migrate web-2", "web-1"]


async def test_a_hook_that_was_killed_half_way_is_undone_as_well(serve: Serve) -> None:
    world = shop()
    world.job_results["migrate"] = FAILED.model_copy(update={"reason": "DeadlineExceeded"})
    async with serve(world) as environment:
        await promote(environment, 1)
    assert world.log == ["job migrate web-1", "job undo-migrate web-1"]


async def test_a_compensation_that_fails_holds_the_lane_and_says_so(serve: Serve) -> None:
    world = shop(before=(MIGRATE, WARM))
    world.crashing = {"web-2"}
    async with serve(world) as environment:
        await promote(environment, 1)
        world.job_results["undo-warm"] = FAILED
        await promote(environment, 2)
        state = await lane(environment)
    assert world.log[-3:] == ["job undo-warm web-2", "job undo-migrate web-2", "web-1"]
    assert state.hold is not None
    assert "hook warm" in state.hold.reason
    assert state.current is not None
    assert state.current.name == "web-1"


async def test_a_persons_rollback_undoes_the_hooks_of_what_it_leaves_once(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        for number in (1, 2, 3):
            await promote(environment, number)
        world.log.clear()
        await order(environment, Order(id="back", kind="rollback", actor=ALICE, revision=1))
        await settled(environment, 4)
        assert world.log == ["job undo-migrate web-3", "job undo-migrate web-2", "web-1"]
        await order(environment, Order(id="again", kind="rollback", actor=ALICE, revision=2))
        await settled(environment, 5)
    assert world.log[3:] == ["web-2"]


async def test_a_person_who_goes_back_during_a_hook_gets_its_effects_undone(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        await promote(environment, 1)
        await promote(environment, 2)
        world.log.clear()
        world.gates = {"migrate": asyncio.Event()}
        third = asyncio.create_task(promote(environment, 3))
        while "job migrate web-3" not in world.log:  # noqa: ASYNC110  (the scripted world has no event for it)
            await asyncio.sleep(0.02)
        await order(environment, Order(id="back", kind="rollback", actor=ALICE, revision=1))
        await settled(environment, 4)
        await third
    assert world.log == ["job migrate web-3", "job undo-migrate web-3", "job undo-migrate web-2", "web-1"]


async def test_a_worker_that_dies_runs_no_hook_twice(serve: Serve) -> None:
    world = shop()
    world.gates = {"migrate": asyncio.Event()}
    release = member("web", 1)
    async with serve(world, max_cached_workflows=0) as environment:
        handle = await environment.client.start_workflow(
            Promotion.run,
            PromotionRequest(release=release),
            id=ids.promotion(release.component, release.name),
            task_queue=ids.CONTROL_QUEUE,
        )
        while not world.log:  # noqa: ASYNC110  (the scripted world has no event for it)
            await asyncio.sleep(0.02)
    world.gates["migrate"].set()
    async with serve(world, max_cached_workflows=0):
        assert (await handle.result()).steps["production"].phase == "healthy"
    assert world.log == ["job migrate web-1", "web-1"]
    assert len({job.id for job in world.jobs}) == 1
