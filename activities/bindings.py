"""ReleaseBindings that somebody else has edited: what they ask for, and the answer in their status and Events."""

from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities import events
from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO
from activities.standings import Kept
from model import ids, rebinding
from model.failure import InfrastructureFailure, NotFound
from model.lane import LaneState
from model.rebinding import CONDITION, RebindingAnswer, RebindingLook, RebindingRequest

KIND = "ReleaseBinding"
_RPC_TIMEOUT = timedelta(seconds=5)


class Bindings:
    """Looks at what an edit means, and answers where it was made."""

    def __init__(self, server: ApiServer, client: Client, releases: Kept) -> None:
        self._server = server
        self._client = client
        self._releases = releases

    @activity.defn(name="bindings.look")
    async def look(self, request: RebindingRequest) -> RebindingLook:
        """How things are now.

        Raises:
            InfrastructureFailure: the API server, Temporal or the lane cannot be asked.
        """
        found = await self._binding(request)
        current = found is not None and (found["metadata"]["uid"], _release(found)) == (
            request.uid,
            request.release,
        )
        release = await self._releases.release(request.component, request.release)
        return rebinding.look(request, release, current, await self._lane(request))

    @activity.defn(name="bindings.answer")
    async def answer(self, answer: RebindingAnswer) -> None:
        """Leave the condition, and the Event once. A binding that is gone is answered no more.

        Raises:
            InfrastructureFailure: the API server cannot be asked.
        """
        request = answer.request
        found = await self._binding(request)
        if found is None or found["metadata"]["uid"] != request.uid:
            return
        present: dict[str, Any] = next(
            (one for one in (found.get("status") or {}).get("conditions") or [] if one.get("type") == CONDITION),
            {},
        )
        if int(present.get("observedGeneration") or 0) > request.generation:
            return
        same = present.get("status") == answer.status
        condition = {
            "type": CONDITION,
            "status": answer.status,
            "reason": answer.reason,
            "message": answer.message[:1024],
            "observedGeneration": request.generation,
            "lastTransitionTime": present["lastTransitionTime"] if same else events.now(),
        }
        try:
            await self._server.apply(
                {
                    "apiVersion": OPENCHOREO,
                    "kind": KIND,
                    "metadata": {"name": request.binding, "namespace": request.component.namespace},
                    "status": {"conditions": [condition]},
                },
                field_manager="towpath-rebinding",
                subresource="status",
            )
        except NotFound:
            return
        if answer.event:
            occasion = f"{request.generation}/{answer.reason}"
            await events.leave(self._server, found, answer.event, answer.reason, answer.message, occasion)

    async def _binding(self, request: RebindingRequest) -> dict[str, Any] | None:
        return await self._server.get(OPENCHOREO, KIND, request.binding, request.component.namespace)

    async def _lane(self, request: RebindingRequest) -> LaneState | None:
        workflow = ids.lane(request.component, request.environment)
        try:
            handle = self._client.get_workflow_handle(workflow)
            state: LaneState = await handle.query("state", result_type=LaneState, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowQueryFailedError as error:
            raise InfrastructureFailure("LaneSilent", f"{workflow} cannot answer: {error.message}") from error
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise InfrastructureFailure(
                "TemporalUnavailable", f"{workflow} could not be asked: {error}."
            ) from error
        return state


def _release(obj: dict[str, Any]) -> str:
    return str((obj.get("spec") or {}).get("releaseName") or "")
