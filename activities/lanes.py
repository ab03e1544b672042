"""Temporal itself: telling lanes what a promotion wants."""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError

from model import ids
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.lane import RULES, LaneRequest, LaneState
from model.teardown import OpenRuns

_RPC_TIMEOUT = timedelta(seconds=5)


class Lanes:
    """Signals lanes, starting them where they do not run yet."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name="lanes.request")
    async def request(self, request: LaneRequest) -> None:
        """Put a request to its lane, durably; sent twice it is one request.

        Signal-with-start: one call to Temporal, whether the lane lives or not.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        component, environment = request.component, request.step.environment
        attributes = {
            "TowpathProject": component.project,
            "TowpathComponent": str(component.key),
            "TowpathEnvironment": environment,
            "TowpathStage": "steady",
        }
        try:
            await self._client.start_workflow(
                "Lane",
                LaneState(rules=RULES),
                id=ids.lane(component.key, environment),
                task_queue=ids.CONTROL_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="request",
                start_signal_args=[request],
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
                        for name, value in attributes.items()
                    ]
                ),
                static_summary=f"{component.key} in {environment}",
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            raise InfrastructureFailure("TemporalUnavailable", f"The lane could not be told: {error}.") from error

    @activity.defn(name="lanes.open_runs")
    async def open_runs(self, key: ComponentKey) -> OpenRuns:
        """What still runs for a component, as Temporal's visibility knows it (behind by some milliseconds).

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        found: dict[str, list[str]] = {"Delivery": [], "Build": [], "Promotion": [], "Lane": [], "Preview": []}
        query = f"TowpathComponent = '{key}' AND ExecutionStatus = 'Running'"
        try:
            async for run in self._client.list_workflows(query):
                found.get(run.workflow_type, []).append(run.id)
        except RPCError as error:
            raise InfrastructureFailure("TemporalUnavailable", f"Runs could not be listed: {error}.") from error
        return OpenRuns(
            deliveries=tuple(found["Delivery"]),
            builds=tuple(found["Build"]),
            promotions=tuple(found["Promotion"]),
            lanes=tuple(found["Lane"]),
            previews=tuple(found["Preview"]),
        )
