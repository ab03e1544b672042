"""Temporal itself: asking and telling the ledgers of repositories."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from model import ids
from model.failure import InfrastructureFailure
from model.ledger import Handled, Handling, LedgerAnswer, LedgerQuestion, LedgerState, Recording
from model.value import Value

_RPC_TIMEOUT = timedelta(seconds=8)
_REPOSITORY = SearchAttributeKey.for_keyword("TowpathRepository")
AT_ONCE = 200

Q = TypeVar("Q")
A = TypeVar("A")


class HandlingRequest(Value):
    """Say to the ledger of a repository that a head was handled."""

    repository: str
    handling: Handling


class RecordingRequest(Value):
    """Say several things to the ledger of a repository."""

    repository: str
    recording: Recording


class Ledgers:
    """Signals and queries the Ledger entities. What is asked at one moment of one repository goes in one call."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._questions: dict[str, _Together[LedgerQuestion, LedgerAnswer]] = {}
        self._handlings: dict[str, _Together[Handling, Handled | None]] = {}

    @activity.defn(name="ledgers.read")
    async def read(self, question: LedgerQuestion) -> LedgerAnswer:
        """What is known of refs; nothing where there is no ledger yet.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, or `LedgerSilent`: it cannot answer.
        """
        together = _of(self._questions, question.repository, self._ask)
        return await together.put(question)

    @activity.defn(name="ledgers.handled")
    async def handled(self, request: HandlingRequest) -> Handled | None:
        """Put down that a head was handled, and answer the ref's entry as it is then: another one when somebody
        else was quicker. Said twice it is once.

        Raises:
            InfrastructureFailure: as `read`.
        """
        together = _of(self._handlings, request.repository, self._tell)
        return await together.put(request.handling)

    @activity.defn(name="ledgers.record")
    async def record(self, request: RecordingRequest) -> None:
        """Put down what a sweep has seen, or that refs are gone. Said twice it is once.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        await self._signal(request.repository, request.recording)

    async def all(self, repository: str) -> LedgerState:
        """The whole ledger of a repository; an empty one where there is none yet.

        Raises:
            InfrastructureFailure: as `read`.
        """
        found = await self._query(repository, "state", (), LedgerState)
        return found or LedgerState(repository=repository)

    async def _ask(self, repository: str, questions: list[LedgerQuestion]) -> list[LedgerAnswer]:
        single = [question for question in questions if question.delivery]
        refs = tuple({ref: None for question in questions for ref in question.refs})
        asked = LedgerQuestion(repository=repository, refs=refs)
        found = await self._query(repository, "answer", (asked,), LedgerAnswer) or LedgerAnswer()
        delivered = {
            question.delivery: await self._query(repository, "answer", (question,), LedgerAnswer)
            for question in single
        }
        answers = []
        for question in questions:
            known = delivered.get(question.delivery)
            changed = {
                "refs": {ref: found.refs[ref] for ref in question.refs if ref in found.refs},
                "delivered": known is not None and known.delivered,
            }
            answers.append(found.model_copy(update=changed))
        return answers

    async def _tell(self, repository: str, handlings: list[Handling]) -> list[Handled | None]:
        await self._signal(repository, Recording(handlings=tuple(handlings)))
        refs = tuple({handling.ref: None for handling in handlings})
        asked = LedgerQuestion(repository=repository, refs=refs)
        found = await self._query(repository, "answer", (asked,), LedgerAnswer)
        return [found.refs.get(handling.ref) if found else None for handling in handlings]

    async def _signal(self, repository: str, recording: Recording) -> None:
        try:
            await self._client.start_workflow(
                "Ledger",
                LedgerState(repository=repository),
                id=ids.ledger(repository),
                # Deliveries ask while they hold a place on the control queue: the answer must not wait for one.
                task_queue=ids.ADMISSION_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="record",
                start_signal_args=[recording],
                search_attributes=TypedSearchAttributes([SearchAttributePair(_REPOSITORY, repository)]),
                static_summary=f"What was handled of {repository}"[:200],
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            message = f"The ledger of {repository} could not be told: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error

    async def _query(self, repository: str, name: str, args: tuple[Value, ...], result: type[A]) -> A | None:
        handle = self._client.get_workflow_handle(ids.ledger(repository))
        try:
            found: A = await handle.query(name, args=args, result_type=result, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowQueryFailedError as error:
            raise InfrastructureFailure(
                "LedgerSilent", f"The ledger of {repository} cannot answer: {error}"
            ) from error
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            message = f"The ledger of {repository} could not be asked: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error
        return found


class _Together(Generic[Q, A]):
    """Gathers what is asked while a call is under way, and has the next call ask all of it."""

    def __init__(self, repository: str, call: Callable[[str, list[Q]], Awaitable[list[A]]]) -> None:
        self._repository = repository
        self._call = call
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return self._running is None or self._running.done()

    async def put(self, question: Q) -> A:
        """Ask, alone or together with others."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self.idle:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            try:
                answers = await self._call(self._repository, [question for question, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _of(
    known: dict[str, "_Together[Q, A]"], repository: str, call: Callable[[str, list[Q]], Awaitable[list[A]]]
) -> "_Together[Q, A]":
    if repository not in known:
        # Repositories come and go, and each costs only a line here while somebody asks.
        for idle in [name for name, together in known.items() if together.idle]:
            del known[idle]
        known[repository] = _Together(repository, call)
    return known[repository]
