"""The ledgers of many repositories in memory, by the rules of the real ones: how the entity keeps them on Temporal
is tried in tests/integration."""

import time
from typing import Protocol

from temporalio import activity

from activities.ledgers import HandlingRequest, RecordingRequest
from model import ledger
from model.ledger import Handled, LedgerAnswer, LedgerQuestion, LedgerState, Recording


class Whole(Protocol):
    """Shows a whole ledger."""

    async def all(self, repository: str) -> LedgerState:
        """Of a repository."""
        ...


class InMemory:
    """In the place of `activities.ledgers.Ledgers`."""

    def __init__(self) -> None:
        self._states: dict[str, LedgerState] = {}

    @activity.defn(name="ledgers.read")
    async def read(self, question: LedgerQuestion) -> LedgerAnswer:
        """What is known of refs."""
        return ledger.answer(self._of(question.repository), question)

    @activity.defn(name="ledgers.handled")
    async def handled(self, request: HandlingRequest) -> Handled | None:
        """Put a handled head down, and answer the ref's entry."""
        state = self._of(request.repository)
        ledger.record(state, Recording(handlings=(request.handling,)), time.time())
        return state.refs.get(request.handling.ref)

    @activity.defn(name="ledgers.record")
    async def record(self, request: RecordingRequest) -> None:
        """Put down what a sweep has seen."""
        ledger.record(self._of(request.repository), request.recording, time.time())

    async def all(self, repository: str) -> LedgerState:
        """The whole ledger of a repository."""
        return self._of(repository).model_copy(deep=True)

    def _of(self, repository: str) -> LedgerState:
        return self._states.setdefault(repository, LedgerState(repository=repository))
