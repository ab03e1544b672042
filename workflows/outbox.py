"""Outbox: what waits to be sent to one subscriber, until it has been sent or is too old."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.sinks import Sinks
    from model import outbox
    from model.cloudevent import CloudEvent
    from model.outbox import Batch, Counts, OutboxState, Sent, Trouble
    from workflows import metrics
    from workflows.cause import cause_of
    from workflows.effort import perform

IDLE = timedelta(hours=1)
"""How long an empty outbox stays, so that what is put in twice by a retried activity is known."""


@workflow.defn(name="Outbox")
class Outbox:
    """Sends events in order by subject; an entity while there is anything to send."""

    @workflow.init
    def __init__(self, state: OutboxState) -> None:
        self._state = state
        self._news = False

    @workflow.query
    def state(self) -> OutboxState:
        """What waits, and how it goes."""
        return self._state

    @workflow.signal
    def put(self, events: list[CloudEvent]) -> None:
        """Take events in; one that is known already is nothing new."""
        _counted(outbox.put(self._state, events, workflow.time()))
        self._news = True

    @workflow.run
    async def run(self, state: OutboxState) -> None:  # noqa: ARG002  (taken by __init__)
        """Send what is due, wait for what comes, and end after an hour without anything."""
        while True:
            self._news = False
            _counted(outbox.expire(self._state, workflow.time()))
            batch = outbox.due(self._state, workflow.time())
            if batch is not None:
                sent = await self._send(batch)
                if sent.gone:
                    self._state.lines.clear()
                _counted(outbox.settle(self._state, batch, sent, workflow.time()))
            elif not await self._wait():
                return
            self._show()
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._state)

    async def _send(self, batch: Batch) -> Sent:
        try:
            return await perform(Sinks.deliver, batch, summary=f"{sum(map(len, batch.events))} events")
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            message = cause_of(error).message
            subjects = (events[0].subject for events in batch.events)
            return Sent(troubles=tuple(Trouble(subject=subject, message=message) for subject in subjects))

    async def _wait(self) -> bool:
        """Until there is something to do; False when nothing has come for long."""
        wake = outbox.wake_at(self._state)
        seconds = IDLE.total_seconds() if wake is None else max(wake - workflow.time(), 0.01)
        try:
            await workflow.wait_condition(lambda: self._news, timeout=seconds)
        except TimeoutError:
            # What came in the very moment counts: an outbox must not end with something in it.
            return wake is not None or self._news
        return True

    def _show(self) -> None:
        state = self._state
        lines = [
            f"**{outbox.size(state)} waiting** for `{state.subscription}`",
            "",
            f"- delivered {state.delivered}, given up {state.dropped}",
        ]
        if state.error:
            lines.append(f"- failing: {state.error}")
        lines += [
            f"- `{subject}`: {len(line.waiting)} waiting, {line.failures} failures"
            for subject, line in list(state.lines.items())[:50]
        ]
        workflow.set_current_details("\n".join(lines))


def _counted(counts: Counts) -> None:
    for outcome, number in counts.items():
        metrics.sent_events(outcome, number)
