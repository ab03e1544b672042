"""Temporal itself: telling previews what a change request means for them, and counting them."""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from model import ids, preview_rules
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.preview import PreviewEvent, PreviewState
from model.value import Value

_RPC_TIMEOUT = timedelta(seconds=5)
_STAGE = SearchAttributeKey.for_keyword("TowpathStage")
COUNTED_LIMIT = 1000


class PlaceRequest(Value):
    """Ask how many previews of a component go before this one (a workflow id)."""

    component: ComponentKey
    workflow: str


class Ahead(Value):
    """Who goes before: how many hold a place or wait for longer, and the first who wait (workflow ids)."""

    number: int
    waiting: tuple[str, ...] = ()


class Previews:
    """Signals previews, starting them where they do not run yet."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name="previews.tell")
    async def tell(self, event: PreviewEvent) -> bool:
        """Put an event to its preview, durably; sent twice it is one event. False when it is about the end of
        a preview that does not run.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        workflow = ids.preview(event.component, event.change)
        try:
            if event.action == "close":
                handle = self._client.get_workflow_handle(workflow)
                await handle.signal("change", event, rpc_timeout=_RPC_TIMEOUT)
                return True
            attributes = {
                "TowpathProject": event.project,
                "TowpathComponent": str(event.component),
                "TowpathEnvironment": preview_rules.environment(event.change),
                "TowpathStage": "waiting",
            }
            pairs = [
                SearchAttributePair(SearchAttributeKey.for_keyword(name), value)
                for name, value in attributes.items()
            ]
            await self._client.start_workflow(
                "Preview",
                PreviewState(component=event.component, change=event.change),
                id=workflow,
                task_queue=ids.CONTROL_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="change",
                start_signal_args=[event],
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=f"Preview of {event.component} for {event.change}"[:200],
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            if event.action == "close" and error.status == RPCStatusCode.NOT_FOUND:
                return False
            message = f"The preview could not be told: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error
        return True

    @activity.defn(name="previews.ahead")
    async def ahead(self, request: PlaceRequest) -> Ahead:
        """How many previews of the component go before one: those that hold a place, and those that have
        waited for longer. As Temporal's visibility knows it, behind by some milliseconds.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        mine = f"WorkflowType = 'Preview' AND TowpathComponent = '{request.component}'"
        query = f"{mine} AND ExecutionStatus = 'Running'"
        holding = 0
        waiting: list[tuple[float, str]] = []
        try:
            async for run in self._client.list_workflows(query, limit=COUNTED_LIMIT):
                stage = run.typed_search_attributes.get(_STAGE)
                if run.id == request.workflow or stage == "waiting":
                    waiting.append((run.start_time.timestamp(), run.id))
                elif stage in preview_rules.HOLDING:
                    holding += 1
        except RPCError as error:
            message = f"Previews could not be listed: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error
        names = [name for _, name in sorted(waiting)]
        own = names.index(request.workflow) if request.workflow in names else len(names)
        return Ahead(number=holding + own, waiting=tuple(name for name in names if name != request.workflow)[:20])
