"""A time-skipping Temporal server for the session, and workers of ours on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.build_queues import BuildQueues
from activities.lanes import Lanes
from activities.ledgers import Ledgers
from activities.standings import Standings
from deploy.local.catalogue import test_server_path
from model import ids
from model.failure import Failure
from tests.workflows.patience import Patience
from tests.workflows.world import World
from worker.failures import FailureInterceptor
from worker.planes import WORKFLOWS, activities_of
from workflows.attributes import ATTRIBUTES

START_TRIES = 6
Serve = Callable[..., AbstractAsyncContextManager[WorkflowEnvironment]]


@pytest.fixture
def connection() -> dict[str, Any]:
    """How the client connects besides; overridden where telemetry is tested."""
    return {}


@pytest.fixture
async def temporal(connection: dict[str, Any]) -> AsyncIterator[WorkflowEnvironment]:
    """A server of its own for each test: every test uses the same workflow ids."""
    async with await _started(connection) as environment:
        wanted = {key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD for key in ATTRIBUTES}
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=environment.client.namespace, search_attributes=wanted)
        )
        yield environment


async def _started(connection: dict[str, Any]) -> WorkflowEnvironment:
    """A server that is up. The SDK gives its Java process five seconds, which a busy machine may not have."""
    for left in reversed(range(START_TRIES)):
        try:
            return await WorkflowEnvironment.start_time_skipping(
                test_server_existing_path=str(test_server_path()),
                data_converter=pydantic_data_converter,
                **{**connection, "interceptors": [Patience(), *connection.get("interceptors", ())]},
            )
        except RuntimeError as error:
            if not left or "did not start" not in str(error):
                raise
    raise AssertionError("unreachable")


@pytest.fixture
def serve(temporal: WorkflowEnvironment) -> Serve:
    """Workers for all three planes over a scripted world; called with it and, if need be, workers' options.

    They trust whatever they are told: who may say what is tested in tests/integration/test_signals.py.
    """

    @asynccontextmanager
    async def serving(world: World, **options: Any) -> AsyncIterator[WorkflowEnvironment]:
        # One for all workers, as there is one a process: what is asked of it together goes out together.
        queues = BuildQueues(temporal.client, world)
        async with AsyncExitStack() as stack:
            serving_workflows = (ids.CONTROL_QUEUE, ids.ADMISSION_QUEUE)
            for queue in (*serving_workflows, ids.build_queue("default"), ids.data_queue("default")):
                control = queue in serving_workflows
                worker = Worker(
                    temporal.client,
                    task_queue=queue,
                    workflows=WORKFLOWS if control else (),
                    activities=[
                        *world.all(),
                        Lanes(temporal.client).request,
                        queues.enter,
                        queues.wake,
                        *activities_of(Ledgers(temporal.client)),
                        Standings(temporal.client, world).of,
                    ],
                    interceptors=[FailureInterceptor()],
                    workflow_failure_exception_types=[Failure],
                    max_heartbeat_throttle_interval=timedelta(milliseconds=100),
                    default_heartbeat_throttle_interval=timedelta(milliseconds=100),
                    **options,
                )
                await stack.enter_async_context(worker)
            yield temporal

    return serving
