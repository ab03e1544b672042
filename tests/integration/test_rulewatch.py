"""Who waits at a gate hears of changed rules at once: by a real API server's watch and a real Temporal."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError

from activities.apiserver import ApiServer
from activities.rulewatch import RuleWatch
from deploy.local.settings import Settings
from model import ids
from model.promotion import PromotionRequest
from model.resources.freeze import manifest
from tests.integration.test_upgrade import at_gate, working
from tests.temporal_namespace import client_of
from tests.workflows.world import KEY, World, pipeline, release
from worker.planes import WORKFLOWS
from workflows.attributes import attributes
from workflows.promotion import Promotion

pytestmark = pytest.mark.stack


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    server = await ApiServer.connect(str(Settings.from_environment().kubeconfig))
    yield server
    await server.close()


@pytest.fixture
async def client() -> Client:
    made = await client_of(Settings.from_environment(), "towpath-test-rules")
    for name in [ids.promotion(KEY, "hello-1"), *(ids.lane(KEY, name) for name in ("development", "staging"))]:
        with suppress(RPCError):
            await made.get_workflow_handle(name).terminate("the next test begins")
    return made


async def test_a_freeze_that_is_applied_is_seen_at_the_gate_at_once(client: Client, cluster: ApiServer) -> None:
    world = World(pipeline=pipeline(approvals=1))
    freeze = f"test-{uuid.uuid4().hex[:8]}"
    # For an environment that nobody has: what runs on the stack beside this test is not held.
    spec = {"selector": {"environment": freeze}, "from": "2026-01-01", "until": "2026-01-02"}
    watch = RuleWatch(cluster, client)
    async with working(client, world, WORKFLOWS):
        following = asyncio.create_task(watch.run())
        try:
            walk = await client.start_workflow(
                Promotion.run,
                PromotionRequest(release=release(1)),
                id=ids.promotion(KEY, "hello-1"),
                task_queue=ids.CONTROL_QUEUE,
                search_attributes=attributes(project="default", component=str(KEY), stage="promoting"),
            )
            await at_gate(walk)
            await watch.synced()
            while (  # noqa: ASYNC110  (asked from outside)
                await client.count_workflows("WorkflowType = 'Promotion' AND ExecutionStatus = 'Running'")
            ).count < 1:
                await asyncio.sleep(0.1)
            world.pipeline = pipeline(approvals=2)
            await cluster.create(manifest(freeze, KEY.namespace, spec))
            while True:
                gate = (await at_gate(walk)).steps["production"].gate
                if gate is not None and gate.needed == 2:
                    break
                await asyncio.sleep(0.05)
        finally:
            following.cancel()
            await cluster.delete("towpath.dev/v1alpha1", "Freeze", freeze, KEY.namespace)
