"""Waiting for a workflow's end on the Java test server, which now and then answers a long poll with nothing."""

from collections.abc import AsyncIterator
from typing import cast

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    WorkflowHistoryEventAsyncIterator,
)


class Patience(Interceptor):
    """Asks again. The SDK does so itself only where it was told a run, and else fails: no completion event."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _AsksAgain(next)


class _AsksAgain(OutboundInterceptor):
    def fetch_workflow_history_events(
        self, input: FetchWorkflowHistoryEventsInput
    ) -> WorkflowHistoryEventAsyncIterator:
        if not input.wait_new_event:
            return self.next.fetch_workflow_history_events(input)
        return cast(WorkflowHistoryEventAsyncIterator, self._until_there_is_one(input))

    async def _until_there_is_one(self, input: FetchWorkflowHistoryEventsInput) -> AsyncIterator[HistoryEvent]:
        found = False
        while not found:
            async for event in self.next.fetch_workflow_history_events(input):
                found = True
                yield event
