"""Statuses: the entity that brings what is said of one commit to its provider, in order, until it has arrived."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.statuses import CommitStatuses, StatusSaying
    from model import statuses
    from model.markdown import cell
    from model.status_note import StatusNote
    from model.statuses import Remote, StatusesState, Waiting
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform

# No later try can help: the provider understood, and does not take it; or nobody wants it any more.
UNWANTED = "NoProviderApi"
FINAL = ("ProviderInvalid", "NotOffered", "NotAtProvider", UNWANTED)


@workflow.defn(name="Statuses")
class Statuses:
    """Tells the newest of every context, one at a time; waits for a provider that is away."""

    @workflow.init
    def __init__(self, state: StatusesState) -> None:
        self._state = state
        self._heard = 0

    @workflow.query
    def state(self) -> StatusesState:
        """What is still to be told, what has been told, and what stands in the way."""
        return self._state

    @workflow.signal
    def tell(self, note: StatusNote) -> None:
        """Something about the commit is different now."""
        if statuses.take(self._state, note, workflow.time()):
            self._heard += 1

    @workflow.run
    async def run(self, _state: StatusesState) -> StatusesState:
        """Until everything has been told, and nothing old can come any more."""
        state = self._state
        state.last_heard = state.last_heard or workflow.time()
        while not statuses.is_over(state, workflow.time()):
            waiting = statuses.next_up(state, workflow.time())
            if waiting is not None:
                await self._say(waiting)
                self._show()
            elif workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(state)
            else:
                await self._rest()
        self._show()
        return state

    async def _rest(self) -> None:
        """Until there is something to do: a new note that may be told at once, or time has come."""
        heard, seconds = self._heard, statuses.wakes(self._state, workflow.time())
        try:
            await workflow.wait_condition(lambda: self._heard != heard, timeout=timedelta(seconds=seconds + 0.001))
        except TimeoutError:
            return

    async def _say(self, waiting: Waiting) -> None:
        state, note = self._state, waiting.note
        saying = StatusSaying(note=note, remote=state.remotes.get(note.key, Remote()))
        try:
            remote = await perform(CommitStatuses.say, saying, summary=f"{note.context}: {note.state}")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._not_said(waiting, error)
            return
        statuses.sent(state, waiting, remote)

    def _not_said(self, waiting: Waiting, error: ActivityError) -> None:
        cause, now = cause_of(error), workflow.time()
        why = f"{cause.reason}: {cause.message}"
        if cause.fault == "user":
            kept = statuses.refused(self._state, waiting, why, cause.reason in FINAL, now)
        else:
            kept = statuses.away(self._state, why, _asked(error), now, workflow.random().random())
        if not kept and cause.reason != UNWANTED:
            metrics.given_up(cause.reason)
        workflow.logger.warning("%s not told, %s: %s", waiting.note.context, "later" if kept else "given up", why)

    def _show(self) -> None:
        state = self._state
        stage("told" if not state.waiting else "telling" if not state.trouble else "behind")
        lines = [f"**{state.commit[:12]}** of `{state.repository}`", ""]
        lines += [f"- {state.sent} told, {state.overtaken} overtaken before they were, {state.given_up} given up"]
        if state.trouble:
            lines += [f"- trouble: {cell(state.trouble)}"]
        lines += ["", "| waits | state | says |", "| --- | --- | --- |"] if state.waiting else []
        for each in state.waiting.values():
            lines.append(f"| {cell(each.note.context)} | {each.note.state} | {cell(each.note.title)} |")
        workflow.set_current_details("\n".join(lines))


def _asked(error: FailureError) -> float | None:
    """How long the provider asks to wait, in seconds."""
    cause = error.cause
    delay = cause.next_retry_delay if isinstance(cause, ApplicationError) else None
    return delay.total_seconds() if delay is not None else None
