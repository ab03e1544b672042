"""A worker is upgraded while promotions wait at gates: what yesterday's began, today's finishes.

On the real server: it hands a task of a worker that is gone to the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from activities.lanes import Lanes
from activities.standings import Standings
from deploy.local.settings import Settings
from model import ids
from model.failure import Failure
from model.promotion import PromotionRequest, PromotionState
from model.requirement import Requirement
from tests.replay.yesterday.promotion import Promotion as YesterdaysPromotion
from tests.temporal_namespace import client_of
from tests.workflows.test_story import BOB, approval, approve
from tests.workflows.world import KEY, World, pipeline, release
from worker.failures import FailureInterceptor
from worker.planes import WORKFLOWS
from workflows.promotion import Promotion

pytestmark = pytest.mark.stack
YESTERDAYS: Sequence[type] = (YesterdaysPromotion, *(each for each in WORKFLOWS if each is not Promotion))
Walk = WorkflowHandle[Promotion, PromotionState]


@pytest.fixture
async def client() -> Client:
    """Of a namespace of our own, in which nothing of an earlier test is left."""
    made = await client_of(Settings.from_environment(), "towpath-test-upgrade")
    names = [ids.promotion(KEY, release(1).name)]
    names += [ids.lane(KEY, name) for name in ("development", "staging", "production")]
    for name in names:
        with suppress(RPCError):
            await made.get_workflow_handle(name).terminate("the next test begins")
    return made


@asynccontextmanager
async def working(client: Client, world: World, workflows: Sequence[type]) -> AsyncIterator[None]:
    """Workers of one day over a scripted world."""
    async with AsyncExitStack() as stack:
        for queue in (ids.CONTROL_QUEUE, ids.data_queue("default")):
            worker = Worker(
                client,
                task_queue=queue,
                workflows=workflows if queue == ids.CONTROL_QUEUE else (),
                activities=[*world.all(), Lanes(client).request, Standings(client, world).of],
                interceptors=[FailureInterceptor()],
                workflow_failure_exception_types=[Failure],
            )
            await stack.enter_async_context(worker)
        yield


async def at_gate(walk: Walk, *kinds: str) -> PromotionState:
    """Wait until the release waits at production's gate, with rules of these kinds."""
    while True:
        state = await walk.query(Promotion.state)
        step = state.steps.get("production")
        gate = step.gate if step is not None and step.phase == "at-gate" else None
        if gate is not None and set(kinds) <= {item.kind for item in gate.requirements}:
            return state
        await asyncio.sleep(0.05)


async def waiting_since_yesterday(client: Client, world: World) -> Walk:
    """A promotion that yesterday's worker brought to the gate of production, and one approval there."""
    async with working(client, world, YESTERDAYS):
        name = ids.promotion(KEY, release(1).name)
        request = PromotionRequest(release=release(1))
        await client.start_workflow(YesterdaysPromotion.run, request, id=name, task_queue=ids.CONTROL_QUEUE)
        walk = client.get_workflow_handle_for(Promotion.run, name)
        await at_gate(walk)
        await approve(walk, approval(1))
        return walk


async def test_an_upgrade_in_the_middle_of_a_wait_keeps_the_place_and_the_approvals(client: Client) -> None:
    world = World(pipeline=pipeline(approvals=2))
    walk = await waiting_since_yesterday(client, world)
    async with working(client, world, WORKFLOWS):
        state = await at_gate(walk, "approvals")
        gate = state.steps["production"].gate
        assert gate is not None
        assert (gate.given, gate.needed) == (1, 2)
        await approve(walk, approval(1, BOB))
        assert (await walk.result()).steps["production"].phase == "healthy"
    assert [place for place, _ in world.applied].count("production") == 1
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=client.data_converter,
        workflow_failure_exception_types=[Failure],
    )
    await replayer.replay_workflow(await walk.fetch_history())


async def test_todays_rules_hold_for_what_waits_since_yesterday(client: Client) -> None:
    world = World(pipeline=pipeline(approvals=2))
    walk = await waiting_since_yesterday(client, world)
    requires = (Requirement(component="api"),)
    world.pipeline = pipeline(approvals=2, requires=requires)
    async with working(client, world, WORKFLOWS):
        await approve(walk, approval(1, BOB))
        state = await at_gate(walk, "requires")
        gate = state.steps["production"].gate
        assert gate is not None
        assert "never been deployed" in gate.message
        assert "production" not in world.running
