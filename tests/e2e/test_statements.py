"""The stack's own server signs, and its own control worker checks: what people do with Temporal's tools."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from deploy.local.exports import exports
from deploy.local.settings import Settings
from model import ids
from model.component import Component
from model.key import ComponentKey
from model.lane import LaneState
from model.pipeline import EnvironmentStep
from workflows.lane import Lane

pytestmark = [pytest.mark.stack, pytest.mark.e2e]


@dataclass
class Ground:
    """A lane of a component that nobody has declared: it holds and resumes, and touches nothing."""

    lane: WorkflowHandle[Lane, Any]
    http: httpx.AsyncClient
    key: ComponentKey

    async def signed(self, action: str) -> Any:
        path = f"/api/v1/statements/components/{self.key.namespace}/{self.key.name}/lanes/staging/{action}"
        response = await self.http.post(path, json={"reason": "by hand"})
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    settings = Settings.from_environment()
    told = exports(settings)
    client = await Client.connect(
        settings.temporal_address, namespace=settings.temporal_namespace, data_converter=pydantic_data_converter
    )
    key = ComponentKey(namespace=f"statements-{uuid.uuid4().hex[:8]}", name="hello")
    state = LaneState(component=Component(key=key), step=EnvironmentStep(environment="staging"))
    lane = await client.start_workflow(Lane.run, state, id=ids.lane(key, "staging"), task_queue=ids.CONTROL_QUEUE)
    headers = {"Authorization": f"Bearer {told['TOWPATH_TOKEN']}"}
    try:
        async with httpx.AsyncClient(base_url=told["TOWPATH_URL"], headers=headers, timeout=30) as http:
            yield Ground(lane, http, key)
    finally:
        await lane.terminate("the test is over")


async def test_a_signed_order_is_taken_by_the_stack_s_own_worker(ground: Ground) -> None:
    statement = await ground.signed("hold")
    answer = await ground.lane.execute_update(
        statement["update"], statement["input"], id=statement["id"], result_type=dict
    )
    assert answer["accepted"]
    held = (await ground.lane.query(Lane.state)).hold
    assert held is not None
    assert (held.actor.name, held.reason) == ("operator", "by hand")


async def test_an_order_that_nobody_signed_is_refused(ground: Ground) -> None:
    statement = await ground.signed("hold")
    for proof in ("", statement["input"]["proof"][:-6] + "AAAAAA"):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await ground.lane.execute_update("order", statement["input"] | {"proof": proof}, id=uuid.uuid4().hex)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type in ("ProofMissing", "ProofInvalid")
    assert (await ground.lane.query(Lane.state)).hold is None


async def test_a_signal_without_a_seal_changes_nothing(ground: Ground) -> None:
    await ground.lane.signal("retire")
    statement = await ground.signed("hold")
    answer = await ground.lane.execute_update(
        statement["update"], statement["input"], id=statement["id"], result_type=dict
    )
    assert answer["accepted"], "a lane that obeys would have ended"
    recorded = [event async for event in ground.lane.fetch_history_events()]
    markers = [event for event in recorded if event.HasField("marker_recorded_event_attributes")]
    assert any(b"refused-signal-1" in event.SerializeToString() for event in markers)
