"""Telling people in order, without making the story wait for it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.outboxes import Outboxes
    from activities.resources import Binding, Resources
    from model.note import Note
    from model.told_event import Announcement


class Teller:
    """Writes Events and status one after the other, beside the main path.

    A note that cannot be written within its limits is logged and given up: status is a mirror, and the
    story must not stop for it.
    """

    def __init__(self) -> None:
        self._last: asyncio.Task[None] | None = None

    def tell(self, note: Note) -> None:
        """Queue a note behind those before it."""
        self._last = asyncio.create_task(self._write(note, self._last))

    def mirror(self, binding: Binding) -> None:
        """Queue which release an environment runs, behind the notes before it."""
        self._last = asyncio.create_task(self._write(binding, self._last))

    def announce(self, announcement: Announcement) -> None:
        """Queue what only programs are told, behind the notes before it."""
        self._last = asyncio.create_task(self._write(announcement, self._last))

    async def finish(self) -> None:
        """Wait until everything has been told."""
        if self._last is not None:
            await self._last

    async def _write(self, told: Note | Binding | Announcement, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        try:
            if isinstance(told, Note):
                await perform(Resources.tell, told, summary=told.reason)
            elif isinstance(told, Announcement):
                await perform(Outboxes.publish, told, summary=told.notes[0].reason)
            else:
                await perform(Resources.bind, told, summary=told.release)
        except ActivityError as error:
            cause = cause_of(error)
            workflow.logger.warning("could not be told: %s: %s", cause.reason, cause.message)
