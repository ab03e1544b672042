"""Sweep: one look at a repository's refs, and what nobody has announced of them is started, once."""

from typing import Literal

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError, is_cancelled_exception
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.ledgers import Ledgers, RecordingRequest
    from activities.redeliveries import Redeliveries
    from activities.sweeps import Sweeps
    from model import ids, sweep
    from model.ledger import Handled, Missed, Recording
    from model.sweep import StandingQuestion, SweepLook, SweepRequest, SweepState, Swept
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.cause import cause_of
    from workflows.deletion import Deletion
    from workflows.delivery import Delivery
    from workflows.effort import perform

LOOKS_LIMIT = 20
"""Looks of one sweep, each of which hands over what it has found up to a limit."""

Result = Literal["started", "underway", "handled", "given-up"]


@workflow.defn(name="Sweep")
class Sweep:
    """Starts what webhooks have missed."""

    @workflow.init
    def __init__(self, request: SweepRequest) -> None:
        self._state = SweepState(request=request)

    @workflow.query
    def state(self) -> SweepState:
        """How far this sweep is."""
        return self._state

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepState:
        """From a look at the repository to what was missed; every way out has an outcome with a reason."""
        for _ in range(LOOKS_LIMIT):
            try:
                look = await perform(
                    Sweeps.look, request, summary=f"{request.because}: {request.repository}"[:100]
                )
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                cause = cause_of(error)
                return self._end(cause.reason, cause.message)
            if look.reason:
                return self._end(look.reason, look.message)
            self._state.refs, self._state.recorded = look.refs, self._state.recorded + look.recorded
            for each in look.missed:
                await self._start_push(look, each)
            for ref, last in look.gone.items():
                await self._start_deletion(look, ref, last)
            if not look.more:
                break
            if look.missed:
                request = request.model_copy(update={"after": look.missed[-1].ref})
        await self._have_repeated()
        found = self._state.started
        if not found:
            return self._end("NothingMissed", f"{self._state.refs} refs are as they were handled.")
        return self._end("Found", f"{found} found that nobody had announced, among {self._state.refs} refs.")

    async def _have_repeated(self) -> None:
        """Have the sender repeat what never reached us; that this cannot be done is only said."""
        request = self._state.request
        if request.refs:
            return
        try:
            repeated = await perform(Redeliveries.redeliver, request)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("delivery log not read: %s", cause_of(error).message)
            return
        for delivery in repeated.deliveries:
            self._found(Swept(found="delivery", subject=delivery, result="started"))

    async def _start_push(self, look: SweepLook, missed: Missed) -> None:
        """Start the Delivery that the push would have started, under the same id, so that a late webhook of it is
        a duplicate. Where that has been and has not handled this head, another."""
        request = self._state.request
        since = missed.since.commit if missed.since else ""
        number = missed.since.number if missed.since else 0
        names = [ids.push(request.repository, missed.ref, missed.commit)]
        names += [
            ids.found(request.repository, missed.ref, missed.commit, since, number, attempt)
            for attempt in range(1, sweep.ATTEMPTS_LIMIT + 1)
        ]
        result: Result = "given-up"
        name = names[0]
        for name in names:
            if await self._start_delivery(look, missed, name):
                result = "started"
                break
            question = StandingQuestion(
                workflow=name, repository=request.repository, ref=missed.ref, commit=missed.commit
            )
            answer = await perform(Sweeps.standing, question)
            if answer.standing != "ended":
                result = "underway" if answer.standing == "open" else "handled"
                break
        self._found(Swept(found="push", subject=missed.ref, commit=missed.commit, workflow=name, result=result))

    async def _start_delivery(self, look: SweepLook, missed: Missed, name: str) -> bool:
        request = self._state.request
        push = sweep.push(request, look, missed, request.sequence or int(workflow.time() * 1000))
        try:
            await workflow.start_child_workflow(
                Delivery.run,
                push,
                id=name,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=attributes(
                    repository=request.repository, commit=missed.commit, stage="accepted"
                ),
                static_summary=f"Found on {missed.ref} of {request.repository}"[:200],
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def _start_deletion(self, look: SweepLook, ref: str, last: Handled) -> None:
        """Start the Deletion that its webhook would have started, and forget the ref."""
        request = self._state.request
        deleted = sweep.deletion(request, look, ref, last, request.sequence or int(workflow.time() * 1000))
        name = ids.deleted(request.repository, ref, last.commit, request.delivery)
        result: Result = "started"
        try:
            await workflow.start_child_workflow(
                Deletion.run,
                deleted,
                id=name,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=attributes(repository=request.repository, commit=last.commit, stage="accepted"),
                static_summary=f"Found deleted: {ref} of {request.repository}"[:200],
            )
        except WorkflowAlreadyStartedError:
            result = "handled"
        recording = Recording(forget={ref: last.number})
        await perform(Ledgers.record, RecordingRequest(repository=request.repository, recording=recording))
        self._found(Swept(found="deleted", subject=ref, commit=last.commit, workflow=name, result=result))

    def _found(self, swept: Swept) -> None:
        state = self._state
        if swept.result == "started":
            state.started += 1
            metrics.swept(swept.found)
            # The audit's line: what was started without anybody having asked, and why.
            workflow.logger.warning(
                "missed %s of %s found: %s %s, started %s",
                *(swept.found, state.request.repository, swept.subject, swept.commit, swept.workflow),
            )
        elif swept.result == "given-up":
            workflow.logger.error(
                "%s at %s was found too often; see %s", swept.subject, swept.commit, swept.workflow
            )
        state.found = [*state.found, swept][-sweep.SHOWN_LIMIT :]
        self._show()

    def _end(self, outcome: str, message: str) -> SweepState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        self._show()
        return self._state

    def _show(self) -> None:
        state = self._state
        lines = [f"**{state.outcome}** {state.message}", "", f"- `{state.request.repository}`, {state.refs} refs"]
        lines += [
            f"- {each.found} `{each.subject}` `{each.commit[:12]}`: {each.result}" for each in state.found[-20:]
        ]
        workflow.set_current_details("\n".join(lines))
