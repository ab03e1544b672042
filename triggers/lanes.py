"""Lanes: what runs where, and people's orders."""

from model import ids, names
from model.difference import Ran
from model.failure import Conflict, NotFound
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState, Order
from model.lane_back import rollback_target
from model.release import Release
from model.rollout import Target
from model.steer import Steer
from triggers.runs import Runs
from triggers.views import LaneView, WaitingRelease
from triggers.webhooks.receiver import Link

LANES_LIMIT = 100


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
        state = await self.state(component, environment)
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
            forgotten=state.forgotten,
            pause=state.pause,
        )

    async def state(self, component: ComponentKey, environment: str) -> LaneState:
        """All that a lane knows.

        Raises:
            NotFound: `LaneNotFound`.
        """
        try:
            return await self._runs.query(ids.lane(component, environment), "state", LaneState)
        except NotFound:
            raise self._absent(component, environment) from None

    async def ran(self, component: ComponentKey, environment: str, revision: int = 0) -> Ran:
        """A revision (0: what runs) with where it ran.

        Raises:
            NotFound: `LaneNotFound`, `RevisionNotFound`.
        """
        state = await self.state(component, environment)
        if state.component is None or state.step is None:
            raise self._absent(component, environment)
        namespace = names.data_namespace(component.namespace, state.component.project, environment)
        target = Target(component=state.component, step=state.step, namespace=namespace)
        if not revision:
            return Ran(target=target, revision=_running(state), release=state.current)
        found = next((entry for entry in state.history if entry.number == revision), None)
        if found is None:
            kept = f"{state.forgotten + 1} to {state.next_revision - 1}" if state.history else "none"
            raise NotFound("RevisionNotFound", f"{environment} has no revision {revision}; it has: {kept}.")
        return Ran(target=target, revision=revision, release=found.release)

    async def before(self, component: ComponentKey, environment: str) -> int:
        """The revision that a rollback would go back to; 0 when there is none."""
        target = rollback_target(await self.state(component, environment), 0)
        return target.number if target else 0

    async def mark(self, release: Release, order: Order) -> list[str]:
        """Tell every lane of a component what a release is worth; returns what they say, by environment.

        A lane that has ended, or that holds nothing yet, needs no telling: each asks before it begins.
        """
        runs = await self._runs.find("Lane", release.component, LANES_LIMIT)
        told = []
        for run in runs:
            if not run.open:
                continue
            try:
                answer = await self._runs.update(run.workflow, "order", order, order.id, Answer)
            except (NotFound, Conflict) as failure:
                if failure.reason in ("RunNotFound", "AlreadyEnded", "LaneEmpty"):
                    continue
                raise
            told.append(f"{run.workflow.rpartition('/')[2]}: {answer.message}")
        return told

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
        pinned=request.pinned,
    )
