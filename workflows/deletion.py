"""Deletion: a ref was deleted, and what stood for it ends."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.ledgers import Ledgers, RecordingRequest
    from activities.previews import Previews
    from activities.remains import RemainsOf
    from model import ids
    from model.deletion import DeletionState, StandingPreview
    from model.ledger import LedgerQuestion, Recording
    from model.markdown import cell
    from model.preview import PreviewEvent
    from model.ref_deleted import RefDeleted
    from model.repository import branch_of
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform


@workflow.defn(name="Deletion")
class Deletion:
    """Ends the previews and builds of a ref that is gone; never builds."""

    @workflow.init
    def __init__(self, event: RefDeleted) -> None:
        self._state = DeletionState(event=event)

    @workflow.query
    def state(self) -> DeletionState:
        """How far this is."""
        return self._state

    @workflow.run
    async def run(self, event: RefDeleted) -> DeletionState:
        """From the announced deletion to nothing that is left; every way out has an outcome with a reason."""
        try:
            return await self._clear(event)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return self._end(cause.reason, cause.message)

    async def _clear(self, event: RefDeleted) -> DeletionState:
        # The ledger first: what is put down for a ref that comes back in between is not forgotten.
        known = await perform(Ledgers.read, LedgerQuestion(repository=event.repository, refs=(event.ref,)))
        left = await perform(RemainsOf.look, event, summary=event.ref[:200])
        if not left.built:
            return self._end("NobodyBuilds", "No component is built from this repository.")
        if left.back:
            return self._end("BackAgain", f"{event.ref} is there again; nothing ends.")
        await asyncio.gather(
            *(self._close(preview) for preview in left.previews), *(self._cancel(build) for build in left.builds)
        )
        if (entry := known.refs.get(event.ref)) is not None:
            forgetting = Recording(forget={event.ref: entry.number})
            await perform(Ledgers.record, RecordingRequest(repository=event.repository, recording=forgetting))
            self._state.forgotten = True
        ended = len(self._state.previews) + len(self._state.builds)
        if not ended:
            return self._end("NothingLeft", f"Nothing stood for {event.ref}.")
        return self._end("Cleared", f"{ended} ended that stood for {event.ref}.")

    async def _close(self, preview: StandingPreview) -> None:
        event = self._state.event
        told = PreviewEvent(
            id=workflow.info().workflow_id,
            action="close",
            component=preview.component,
            repository=event.repository,
            change=preview.change,
            at=preview.at,
            sequence=event.sequence,
            actor=event.actor,
            reason=f"Branch {branch_of(event.ref)} was deleted.",
        )
        name = ids.preview(preview.component, preview.change)
        if await perform(Previews.tell, told, summary=f"close {name}"[:200]):
            self._state.previews.append(name)

    async def _cancel(self, name: str) -> None:
        try:
            await workflow.get_external_workflow_handle(name).cancel()
        except ApplicationError as error:
            workflow.logger.info("%s has ended by itself: %s", name, error.message)
            return
        self._state.builds.append(name)

    def _end(self, outcome: str, message: str) -> DeletionState:
        state, event = self._state, self._state.event
        state.outcome, state.message = outcome, message
        stage(outcome)
        lines = [f"**{outcome}** {cell(message)}", "", f"- `{event.ref}` of `{event.repository}`"]
        lines += [f"- ends: `{name}`" for name in (*state.previews, *state.builds)]
        workflow.set_current_details("\n".join(lines))
        return state
