"""Lanes: what runs where, and people's orders."""

from model import ids
from model.failure import Conflict, NotFound
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState, Order
from model.steer import Steer
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
            pause=state.pause,
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

    async def steer(self, component: ComponentKey, environment: str, steer: Steer) -> tuple[Answer, str]:
        """Steer the deployment that is under way in a lane; the answer, and the workflow that gave it.

        Raises:
            NotFound: `LaneNotFound`, `NothingDeploying`.
            Conflict: the deployment refuses it, with its reason.
        """
        lane = await self.get(component, environment)
        # Sent twice, it may have ended meanwhile: the newest revision is asked then.
        revision = lane.deploying or max((entry.number for entry in lane.history), default=0)
        workflow = ids.rollout(component, environment, revision)
        try:
            return await self._runs.update(workflow, "steer", steer, steer.id, Answer), workflow
        except NotFound:
            raise NotFound(
                "NothingDeploying", f"Nothing is being deployed to {environment!r} for {component}."
            ) from None

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
