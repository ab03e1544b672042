"""Compensation: what a release set has changed in one environment goes back, dependents first."""

import asyncio
from collections.abc import Callable, Mapping

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.cause import cause_of
from workflows.effort import perform
from workflows.tracing import here

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from model.actor import Actor
    from model.lane import LaneRequest, LaneSettled
    from model.ordering import After, reverse
    from model.release_set import MemberState, Taken, restored

Enter = Callable[[str, MemberState], None]


class Compensation:
    """Takes back what lanes were asked for, in reverse order, independent ones side by side.

    Args:
        taken: what was asked of which lane, by component name.
        after: the order in which they went in.
        settled: where the lanes' answers arrive, by request id.
        enter: is told how far each component has come.

    A lane knows itself what there is to take back: nothing when it changed nothing, and nothing when
    something else runs there by now. One that fails, or is held, keeps none of the others from going back.
    """

    def __init__(
        self, taken: Mapping[str, Taken], after: After, settled: dict[str, LaneSettled], enter: Enter
    ) -> None:
        self._taken = taken
        self._settled = settled
        self._enter = enter
        # Only what is taken back is waited for.
        self._first = {
            name: tuple(other for other in waits if other in taken)
            for name, waits in reverse(after).items()
            if name in taken
        }
        self._through: set[str] = set()

    async def run(self, members: Mapping[str, MemberState], set_id: str, actor: Actor, reason: str) -> None:
        """Ask every lane, and stay until all have answered for good."""
        await asyncio.gather(
            *(self._take_back(members[name], set_id, actor, reason) for name in self._taken if name in members)
        )

    async def _take_back(self, member: MemberState, set_id: str, actor: Actor, reason: str) -> None:
        name = member.component
        await workflow.wait_condition(lambda: all(other in self._through for other in self._first[name]))
        taken = self._taken[name]
        # Of this run: a lane hears each request once, and a second attempt must be heard as well.
        request = f"{workflow.info().run_id}/{taken.step.environment}/{name}/restore"
        self._note(member, "restoring", "Restoring", "It goes back to what ran before.")
        asked = LaneRequest(
            id=request,
            kind="restore",
            component=taken.component,
            step=taken.step,
            release=taken.release,
            actor=actor,
            promotion=workflow.info().workflow_id,
            reason=reason[:500],
            set=set_id,
            undo_of=taken.request,
            traceparent=here(),
        )
        try:
            await perform(Lanes.request, asked, summary=f"restore {name} in {taken.step.environment}")
        except ActivityError as error:
            cause = cause_of(error)
            self._note(member, "restore-failed", cause.reason, cause.message)
            self._through.add(name)
            return
        while True:
            await workflow.wait_condition(lambda: request in self._settled)
            answer = self._settled.pop(request)
            phase = restored(answer)
            self._note(member, phase, answer.reason, answer.message, answer.revision)
            # A held lane waits for a person; the others do not wait for that.
            self._through.add(name)
            if phase != "restore-held":
                return

    def _note(self, member: MemberState, phase: str, reason: str, message: str, revision: int = 0) -> None:
        entered = member.model_copy(
            update={
                "phase": phase,
                "reason": reason,
                "message": message,
                "revision": revision or member.revision,
                "since": workflow.time(),
            }
        )
        self._enter(member.component, entered)
