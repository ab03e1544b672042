"""Telling a commit's readers at its provider how far it is, without making the story wait for it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.statuses import CommitStatuses
    from model.component import Component
    from model.hosting import StatusState
    from model.status_note import StatusNote

PATCH = "statuses-told"


async def tell_status(note: StatusNote) -> None:
    """Hand a note to the statuses of its commit, which bring it to the provider in their own time.

    What cannot even be handed over is logged and given up: a status is a mirror.
    """
    try:
        await perform(CommitStatuses.tell, note, summary=f"{note.context}: {note.state}")
    except ActivityError as error:
        cause = cause_of(error)
        workflow.logger.warning("status not handed over: %s: %s", cause.reason, cause.message)


class StatusTeller:
    """Hands notes over one after the other, beside the main path. Where nobody is told, nothing happens."""

    def __init__(self) -> None:
        self._last: asyncio.Task[None] | None = None
        self._count = 0

    def tell(
        self,
        component: Component,
        commit: str,
        what: str,
        state: StatusState,
        title: str,
        detail: str = "",
        **more: object,
    ) -> None:
        """Queue how one thing about a component is.

        Args:
            component: whose; its source's provider is told, where it has one that wants to be.
            commit: the commit's id.
            what: `build`, or an environment's name.
            state: how it is.
            title: one line for people.
            detail: markdown, shown where the provider can.
            more: other fields of the note.
        """
        told = component.told
        if told is None or not commit or not workflow.patched(PATCH):
            return
        self._count += 1
        note = StatusNote.model_validate(
            {
                "told": told,
                "commit": commit,
                "context": f"{told.context}/{component.key.name}/{what}",
                "state": state,
                "title": title,
                "detail": detail,
                "workflow": workflow.info().workflow_id,
                # Temporal's clock, the same for all who tell; the count for what is told at once.
                "order": int(workflow.time() * 1000) * 1000 + self._count % 1000,
                **more,
            }
        )
        self._last = asyncio.create_task(self._hand_over(note, self._last))

    async def finish(self) -> None:
        """Wait until everything has been handed over."""
        if self._last is not None:
            await self._last

    @staticmethod
    async def _hand_over(note: StatusNote, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await tell_status(note)
