"""Lanes: what runs where, and people's orders."""

from model import ids
from model.failure import Conflict, NotFound
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState, Order
from triggers.runs import Runs
from triggers.views import LaneView, WaitingRelease
from triggers.webhooks.receiver import Link


class Lanes:
    """The Lane workflows of components."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def get(self, component: ComponentKey, environment: str) -> LaneView:
        """One lane.

        Raises:
            NotFound: `LaneNotFound`, nothing was ever sent there.
        """
        workflow = ids.lane(component, environment)
        try:
            state = await self._runs.query(workflow, "state", LaneState)
        except NotFound:
            raise self._absent(component, environment) from None
        return LaneView(
            environment=environment,
            workflow=workflow,
            url=self._link(workflow),
            current=state.current,
            last_good=state.last_good,
            revision=_running(state),
            deploying=state.deploying,
            hold=state.hold,
            at_gate=tuple(_waiting(request) for request in state.candidates),
            waiting=tuple(_waiting(request) for request in state.waiting),
            history=tuple(state.history),
        )

    def workflow(self, component: ComponentKey, environment: str) -> str:
        """Where to look for it in Temporal."""
        return ids.lane(component, environment)

    async def order(self, component: ComponentKey, environment: str, order: Order) -> Answer:
        """Give a lane a person's order.

        Raises:
            NotFound: `LaneNotFound`.
            Conflict: the lane refuses it, with its reason.
        """
        try:
            answer = await self._runs.update(ids.lane(component, environment), "order", order, order.id, Answer)
        except NotFound:
            raise self._absent(component, environment) from None
        if not answer.accepted:
            raise Conflict(answer.reason, answer.message)
        return answer

    def _absent(self, component: ComponentKey, environment: str) -> NotFound:
        return NotFound("LaneNotFound", f"{component} was never deployed to {environment!r}.")


def _running(state: LaneState) -> int:
    """The revision whose release runs; 0 when nothing does."""
    ran = [
        entry.number
        for entry in state.history
        if state.current and entry.release.name == state.current.name and entry.number != state.deploying
    ]
    return ran[-1] if ran else 0


def _waiting(request: LaneRequest) -> WaitingRelease:
    return WaitingRelease(
        release=request.release.name,
        digest=request.release.digest,
        commit=request.release.commit.id,
        promotion=request.promotion,
    )
