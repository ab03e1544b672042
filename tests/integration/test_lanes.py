"""The Lane workflow on the real Temporal: random lives with workers that die, and fifty requests at once.

The rules alone are driven through thousands of lives in tests/unit; here it is that the workflow keeps to them:
its handlers, its child workflows, its replay after a restart.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.lanes import Lanes
from deploy.local.settings import Settings
from model import ids
from model.failure import Failure
from tests.lane_life import STEPS, Life, Serve
from tests.temporal_namespace import client_of
from tests.workflows.world import World
from worker.failures import FailureInterceptor
from workflows.lane import Lane
from workflows.rollout import Rollout

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
SECOND = timedelta(seconds=1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client() -> AsyncIterator[Client]:
    """A Temporal namespace that goes with the tests."""
    name = f"test-lanes-{uuid.uuid4().hex[:8]}"
    client = await client_of(Settings.from_environment(), name)
    yield client
    await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


@pytest.fixture
def serve(client: Client) -> Serve:
    @asynccontextmanager
    async def serving(world: World) -> AsyncIterator[Client]:
        async with AsyncExitStack() as stack:
            for queue in (ids.CONTROL_QUEUE, ids.data_queue("default")):
                worker = Worker(
                    client,
                    task_queue=queue,
                    workflows=(Lane, Rollout) if queue == ids.CONTROL_QUEUE else (),
                    activities=[*world.all(), Lanes(client).request],
                    interceptors=[FailureInterceptor()],
                    workflow_failure_exception_types=[Failure],
                    # Every task replays the whole life, as after a restart.
                    max_cached_workflows=0,
                    max_heartbeat_throttle_interval=SECOND,
                    default_heartbeat_throttle_interval=SECOND,
                )
                await stack.enter_async_context(worker)
            yield client

    return serving


@pytest.mark.timeout(600)
@settings(
    max_examples=5,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=5, max_size=10))
async def test_a_lane_keeps_its_promises_whatever_happens_to_it_and_to_its_workers(
    serve: Serve, steps: list[str]
) -> None:
    async with Life(serve).lived() as life:
        for step in ("push", *steps):
            await life.live(step)
        await life.keeps_its_promises()


async def test_at_most_one_deployment_runs_under_fifty_requests_at_once(serve: Serve) -> None:
    chance = random.Random(7)
    updates = asyncio.Semaphore(5)  # Temporal takes ten updates of one workflow at once.

    async def by_hand(life: Life, number: int) -> None:
        async with updates:
            await life.order("deploy", number)

    async with Life(serve).lived() as life:
        await life.live("push")
        calls: list[Coroutine[Any, Any, None]] = [life.send(number) for number in range(2, 37)]
        calls += [by_hand(life, number) for number in range(2, 17)]
        chance.shuffle(calls)
        await asyncio.gather(*calls)
        state = await life.keeps_its_promises()
        assert len(state.history) > 2


async def test_a_rollback_goes_before_a_deployment_that_a_person_asked_for_just_before(
    serve: Serve,
) -> None:
    async with Life(serve).lived() as life:
        for _ in range(3):
            await life.live("push")
            await life.settled()
        await life.order("deploy", 4)
        await life.order("rollback")
        state = await life.keeps_its_promises()
        assert state.current is not None
        assert state.hold is not None
        assert state.history[-1].kind == "rollback"
        asked = [entry.result for entry in state.history if entry.release.name == "hello-4"]
        assert set(asked) <= {"superseded", "cancelled", "healthy"}, "what was asked stays in the history"
