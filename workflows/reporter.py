"""Telling a change request about its preview, without making the preview wait for it."""

import asyncio
from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.requests import Requests
    from model.request_report import Report


class Reporter:
    """Writes reports one after the other; while one is on its way only the newest waits.

    A report that cannot be written is given to `failed` (reason and message) and given up: the preview must
    not fail for it. `comment` is the provider's id of the one comment.
    """

    def __init__(self, comment: int, failed: Callable[[str, str], None]) -> None:
        self.comment = comment
        self._failed = failed
        self._next: Report | None = None
        self._running: asyncio.Task[None] | None = None

    def say(self, report: Report) -> None:
        """Queue a report in place of one that waits."""
        self._next = report
        if self.idle:
            self._running = asyncio.create_task(self._run())

    @property
    def idle(self) -> bool:
        """Whether everything has been said."""
        return self._running is None or self._running.done()

    async def finish(self) -> None:
        """Wait until everything has been said."""
        if self._running is not None:
            await workflow.wait([self._running])

    async def _run(self) -> None:
        while self._next is not None:
            report, self._next = self._next, None
            try:
                reported = await perform(
                    Requests.report, report.model_copy(update={"comment": self.comment}), summary=report.title
                )
                self.comment = reported.comment
            except ActivityError as error:
                cause = cause_of(error)
                self._failed(cause.reason, cause.message)
