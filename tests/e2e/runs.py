"""Temporal from outside: which runs there are, when they ran, and what their histories hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

T = TypeVar("T")
LIMIT_SECONDS = 30


@dataclass(frozen=True)
class Span:
    """One run, from its start to its end (seconds since the epoch; the end is infinite while it runs)."""

    workflow: str
    began: float
    ended: float

    def overlaps(self, other: Span) -> bool:
        """Whether there was a moment at which both ran."""
        return self.began < other.ended and other.began < self.ended


class Runs:
    """Runs of the stack's namespace. Calls block, and may come from any thread."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    @classmethod
    @contextmanager
    def connect(cls, address: str, namespace: str) -> Iterator[Runs]:
        """A client on an event loop of its own thread."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="temporal")
        thread.start()
        try:
            connecting = asyncio.run_coroutine_threadsafe(Client.connect(address, namespace=namespace), loop)
            yield cls(connecting.result(LIMIT_SECONDS), loop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def count(self, query: str) -> int:
        """How many runs a visibility query finds (behind by some milliseconds)."""
        return self._wait(self._client.count_workflows(query)).count

    def found(self, query: str) -> list[str]:
        """Workflow ids of the runs that a visibility query finds."""
        return [run.id for run in self._wait(self._list(query))]

    def spans(self, query: str) -> list[Span]:
        """When the runs that a visibility query finds ran, the earliest first."""
        runs = self._wait(self._list(query))
        return sorted((_span(run) for run in runs), key=lambda span: span.began)

    def current_details(self, workflow: str) -> str:
        """The markdown that Temporal's Web UI shows as the current details of a run."""
        handle = self._client.get_workflow_handle(workflow)
        query = handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        metadata: WorkflowMetadata = self._wait(query)
        return metadata.current_details

    def state(self, workflow: str) -> dict[str, Any]:
        """What a workflow says of itself; empty while there is none."""
        query = self._client.get_workflow_handle(workflow).query("state")
        try:
            return dict(self._wait(query))
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return {}

    def raw_history(self, workflow: str) -> bytes:
        """Every event of a run as it is stored: payloads are in it as they were sent."""
        history = self._wait(self._client.get_workflow_handle(workflow).fetch_history())
        return b"\n".join(event.SerializeToString() for event in history.events)

    async def _list(self, query: str) -> list[WorkflowExecution]:
        return [run async for run in self._client.list_workflows(query)]

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        waiting: Future[T] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return waiting.result(LIMIT_SECONDS)


def _span(run: WorkflowExecution) -> Span:
    ended = run.close_time.timestamp() if run.close_time else float("inf")
    return Span(run.id, run.start_time.timestamp(), ended)
