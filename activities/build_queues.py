"""Temporal itself: asking the queues before build planes for slots, and looking how builds really are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Protocol, TypeVar

import structlog
from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from model import ids
from model.build_queue import Asking, Entry, Held, Limits, Look, LookQuestion, Place, Places, QueueState
from model.failure import InfrastructureFailure

BATCH = 200
TOGETHER = 16
_ANSWER = timedelta(seconds=2)
_RPC_TIMEOUT = timedelta(seconds=5)
_GONE = (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION)

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Limiting(Protocol):
    """`activities.build_limits.BuildLimits`."""

    async def of(self, plane: str, projects: Iterable[str]) -> Limits:
        """The limits as declared now."""
        ...


class BuildQueues:
    """Asks for slots. What is asked of one plane while an answer is under way is asked together after it: one
    update takes some milliseconds however many builds it speaks for."""

    def __init__(self, client: Client, limits: Limiting) -> None:
        self._client = client
        self._limits = limits
        self._asked: dict[str, list[tuple[Entry, asyncio.Future[Place]]]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    @activity.defn(name="queues.enter")
    async def enter(self, asking: Asking) -> Places:
        """Ask for slots; asking twice is asking once. A queue that does not run is started.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, or `QueueSilent`: no control worker answers.
        """
        plane = asking.plane
        answers: list[asyncio.Future[Place]] = []
        for entry in asking.entries:
            answers.append(asyncio.get_running_loop().create_future())
            self._asked.setdefault(plane, []).append((entry, answers[-1]))
        if plane not in self._asking:
            self._asking[plane] = asyncio.create_task(self._ask(plane))
        return Places(places=tuple(await asyncio.gather(*answers)))

    @activity.defn(name="queues.wake")
    async def wake(self, plane: str) -> None:
        """Start the queue of a plane where it does not run; it finds by itself who has slots and who waits.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        try:
            await self._start(plane)
        except RPCError as error:
            raise _unavailable(error) from error

    @activity.defn(name="queues.look")
    async def look(self, question: LookQuestion) -> Look:
        """How the builds of a queue really are, as Temporal's visibility knows them (behind by some
        milliseconds); that one has ended is asked of its run itself.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        known, unheard = set(question.builds), set(question.unheard)
        query = "WorkflowType = 'Build' AND ExecutionStatus = 'Running'"
        try:
            running = {run.id: run.start_time.timestamp() async for run in self._client.list_workflows(query)}
            ended = await _all(known - running.keys(), self._has_ended)
            asked = (build for build, began in running.items() if began < question.before or build in unheard)
            held = await _all(set(asked) - known, self._held)
            served = await self._served(question.plane)
        except RPCError as error:
            raise _unavailable(error) from error
        answers = [answer for answer in held.values() if answer is not None]
        return Look(
            ended=tuple(sorted(build for build, over in ended.items() if over)),
            found=tuple(each for each in answers if each.plane == question.plane and (each.holds or each.wants)),
            limits=await self._limits.of(question.plane, question.projects),
            served=served,
            silent=tuple(sorted(build for build, answer in held.items() if answer is None)),
        )

    async def _ask(self, plane: str) -> None:
        """Ask for whoever has asked, until nobody has."""
        try:
            while self._asked.get(plane):
                batch, self._asked[plane] = self._asked[plane][:BATCH], self._asked[plane][BATCH:]
                # Who has given up meanwhile asks again if it still wants to.
                batch = [(entry, answer) for entry, answer in batch if not answer.done()]
                if not batch:
                    continue
                try:
                    places = await self._put(plane, tuple(entry for entry, _ in batch))
                except Exception as error:
                    # Whatever it is, everybody who has asked hears of it.
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                for (_, answer), place in zip(batch, places.places, strict=True):
                    if not answer.done():
                        answer.set_result(place)
        finally:
            del self._asking[plane]
            for _, answer in self._asked.pop(plane, []):
                answer.cancel()

    async def _put(self, plane: str, entries: tuple[Entry, ...]) -> Places:
        limits = await self._limits.of(plane, (entry.project for entry in entries))
        asking = Asking(plane=plane, entries=entries, limits=limits)
        handle = self._client.get_workflow_handle(ids.queue(plane))
        for is_last in (False, True):
            try:
                places: Places = await handle.execute_update(
                    "enter", asking, result_type=Places, rpc_timeout=_ANSWER
                )
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise _silent(plane) from error
            except WorkflowUpdateFailedError as error:
                # It had just ended, or is about to go on as new; or it does not take our seal.
                if is_last:
                    raise InfrastructureFailure("QueueRefuses", f"The queue of {plane}: {error.cause}.") from error
            except RPCError as error:
                if error.status not in _GONE or is_last:
                    raise _unavailable(error) from error
            else:
                return places
            try:
                await self._start(plane)
            except RPCError as error:
                raise _unavailable(error) from error
        raise AssertionError("the second round returns or raises")

    async def _start(self, plane: str) -> None:
        stage = SearchAttributePair(SearchAttributeKey.for_keyword("TowpathStage"), "serving")
        await self._client.start_workflow(
            "BuildQueue",
            QueueState(plane=plane),
            id=ids.queue(plane),
            task_queue=ids.ADMISSION_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes([stage]),
            static_summary=f"Builds on plane {plane}",
            rpc_timeout=_RPC_TIMEOUT,
        )

    async def _has_ended(self, build: str) -> bool:
        try:
            described = await self._client.get_workflow_handle(build).describe(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return True
            raise
        return described.status != WorkflowExecutionStatus.RUNNING

    async def _held(self, build: str) -> Held | None:
        """What a build says of its slot; None when it does not answer, as one does not that cannot go on."""
        try:
            handle = self._client.get_workflow_handle(build)
            held: Held = await handle.query("slot", result_type=Held, rpc_timeout=_ANSWER)
        except (RPCError, WorkflowQueryFailedError) as error:
            log.warning("build does not say whether it runs", build=build, error=str(error))
            return None
        return held

    async def _served(self, plane: str) -> bool | None:
        """Whether a worker of the plane has asked for work in the last minutes; None when nobody can tell."""
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=ids.build_queue(plane)),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            answer = await self._client.workflow_service.describe_task_queue(request, timeout=_RPC_TIMEOUT)
        except RPCError as error:
            log.warning("pollers not known", plane=plane, error=str(error))
            return None
        return bool(answer.pollers)


async def _all(builds: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """Every build's answer, some asked at once."""
    gate = asyncio.Semaphore(TOGETHER)

    async def one(build: str) -> tuple[str, T]:
        async with gate:
            return build, await ask(build)

    return dict(await asyncio.gather(*(one(build) for build in builds)))


def _silent(plane: str) -> InfrastructureFailure:
    return InfrastructureFailure(
        "QueueSilent", f"The queue of {plane} does not answer; does a control worker run?"
    )


def _unavailable(error: RPCError) -> InfrastructureFailure:
    return InfrastructureFailure("TemporalUnavailable", f"The queue could not be asked: {error}.")
