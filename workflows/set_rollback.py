"""SetRollback: a finished release set goes back in one environment, because a person says so."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.lane import LaneSettled
    from model.release_set import MemberState, SetRollbackRequest, SetRollbackState, Taken, not_back
    from model.release_set_story import note, rollback_details
    from workflows.attributes import stage
    from workflows.compensation import Compensation
    from workflows.teller import Teller


@workflow.defn(name="SetRollback")
class SetRollback:
    """Takes back what the set changed; what has been replaced since stays."""

    @workflow.init
    def __init__(self, request: SetRollbackRequest) -> None:
        members = {
            name: MemberState(component=name, release=taken.release.name, request=taken.request)
            for name, taken in _by_name(request).items()
        }
        self._state = SetRollbackState(request=request, members=members)
        self._teller = Teller()

    @workflow.query
    def state(self) -> SetRollbackState:
        """How far each component has come."""
        return self._state

    @workflow.signal
    def settled(self, answer: LaneSettled) -> None:
        """A lane's answer."""
        self._state.settled[answer.request] = answer

    @workflow.run
    async def run(self, request: SetRollbackRequest) -> SetRollbackState:
        """Take everything back, dependents first."""
        stage("rolling-back")
        why = f"set {request.name} rolled back by {request.actor.name}"
        why += f": {request.reason}" if request.reason else ""
        self._tell_all("Normal", "SetRollingBack", why)
        compensation = Compensation(_by_name(request), request.after, self._state.settled, self._enter)
        await compensation.run(dict(self._state.members), request.set, request.actor, why)
        left = not_back(self._state.members)
        if left:
            self._end("NotTakenBack", f"Not taken back: {left}")
            self._tell_all("Warning", "SetNotTakenBack", f"{why}. Not taken back: {left}")
        else:
            self._end("RolledBack", why)
            self._tell_all("Normal", "SetTakenBack", f"{why}.")
        await self._teller.finish()
        return self._state

    def _enter(self, name: str, member: MemberState) -> None:
        self._state.members[name] = member
        self._show()

    def _end(self, outcome: str, message: str) -> None:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        self._show()

    def _tell_all(self, kind: str, reason: str, message: str) -> None:
        for taken in self._state.request.taken:
            told = f"{self._state.request.environment}: {message}"
            self._teller.tell(note(taken.component, kind, reason, told, workflow.info().workflow_id))

    def _show(self) -> None:
        workflow.set_current_details(rollback_details(self._state))


def _by_name(request: SetRollbackRequest) -> dict[str, Taken]:
    return {taken.component.key.name: taken for taken in request.taken}
