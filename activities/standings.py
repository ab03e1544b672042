"""What lanes show to gates: which release runs, whether it is well, and since when."""

from datetime import timedelta
from typing import Protocol

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from model import ids, standing
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.lane import LaneState
from model.release import Release
from model.standing import Standing, StandingQuestion

_RPC_TIMEOUT = timedelta(seconds=5)


class Kept(Protocol):
    """The part of `activities.resources.Resources` that is used here."""

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """One release by its name, or None."""
        ...


class Standings:
    """Asks lanes."""

    def __init__(self, client: Client, releases: Kept) -> None:
        self._client = client
        self._releases = releases

    @activity.defn(name="standings.of")
    async def of(self, question: StandingQuestion) -> Standing:
        """One lane's standing. A lane that was never used is an answer as well.

        Raises:
            InfrastructureFailure: `TemporalUnavailable` or `LaneSilent`, nobody can tell now.
        """
        found = standing.standing(question, await self._lane(question))
        if not question.release:
            return found
        wanted = await self._releases.release(question.component, question.release)
        return found.model_copy(update={"wanted": wanted.sequence if wanted is not None else 0})

    async def _lane(self, question: StandingQuestion) -> LaneState | None:
        workflow = ids.lane(question.component, question.environment)
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
