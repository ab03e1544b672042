"""Temporal's runs as the API sees them: ask, tell, list, start, cancel, with failures of ours."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    RPCError,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from model import ids
from model.failure import Conflict, Failure, InfrastructureFailure, NotFound
from model.key import ComponentKey
from triggers.signing import Signer, refuse_to_act
from workflows.attributes import COMPONENT, REPOSITORY

Kind = Literal[
    "Build",
    "Lane",
    "Promotion",
    "Rebinding",
    "Teardown",
    "Preview",
    "ReleaseSet",
    "SetRollback",
    "Registration",
    "Rotation",
    "Delivery",
]
M = TypeVar("M", bound=BaseModel)
REQUEST_MEMO = "request"


@dataclass(frozen=True)
class Run:
    """The latest run of a workflow id. Times are seconds since the epoch, `closed_at` 0 while it runs.

    `request` is the idempotency key of the call that started it, where a person's call did.
    """

    workflow: str
    status: str
    started_at: float
    closed_at: float = 0
    request: str = ""
    type: str = ""
    attributes: TypedSearchAttributes = field(default_factory=lambda: TypedSearchAttributes([]), compare=False)

    @property
    def open(self) -> bool:
        """Whether it still runs."""
        return self.status == "RUNNING"


class Runs(Protocol):
    """Every method raises InfrastructureFailure (`TemporalUnavailable`, `NoWorker`) when there is no answer."""

    async def query(self, workflow: str, name: str, result: type[M]) -> M:
        """What the workflow answers. Raises NotFound."""
        ...

    async def state(self, run: Run, result: type[M]) -> M:
        """How far a run is, or how it ended. Raises NotFound."""
        ...

    async def update(self, workflow: str, name: str, argument: BaseModel, update_id: str, result: type[M]) -> M:
        """Tell the workflow something, once per id. Raises NotFound, and Conflict when it refuses."""
        ...

    async def describe(self, workflow: str) -> Run | None:
        """Its latest run, or None when there is none (any more)."""
        ...

    async def find(self, kind: Kind, component: ComponentKey, limit: int) -> list[Run]:
        """The component's runs of a kind: running ones and the most recently closed, newest start first."""
        ...

    async def find_below(self, kind: Kind, prefix: str, limit: int) -> list[Run]:
        """The runs of a kind whose ids begin so: running ones and the most recently closed, newest start first."""
        ...

    async def of_types(self, types: tuple[str, ...], repository: str, limit: int) -> list[Run]:
        """The runs of some workflow types, of one repository unless that is empty: running ones and the most
        recently closed, newest start first."""
        ...

    async def start(
        self,
        kind: Kind,
        argument: BaseModel,
        workflow: str,
        request: str,
        attributes: TypedSearchAttributes,
        summary: str,
        again: bool = False,
    ) -> bool:
        """Start it; False when it was there already (with `again`: when it still runs)."""
        ...

    async def cancel(self, workflow: str) -> None:
        """Ask it to end; an ended one is fine. Raises NotFound."""
        ...

    async def lanes(self) -> set[ComponentKey]:
        """The components for which lanes or previews run."""
        ...

    async def next_time(self, schedule: str) -> float | None:
        """When a schedule is due next, in seconds since the epoch; None when there is none, or it is never."""
        ...


class TemporalRuns:
    """Runs on a Temporal server; no call takes longer than `seconds`."""

    def __init__(self, client: Client, signer: Signer, seconds: float = 8.0) -> None:
        self._client = client
        self._signer = signer
        self._limit = timedelta(seconds=seconds)

    async def query(self, workflow: str, name: str, result: type[M]) -> M:
        """As the Protocol says; a closed workflow answers as well."""
        try:
            handle = self._client.get_workflow_handle(workflow)
            answer: M = await handle.query(name, result_type=result, rpc_timeout=self._limit)
        except WorkflowQueryFailedError as error:
            raise InfrastructureFailure("QueryFailed", f"{workflow} cannot answer: {error.message}") from error
        except (RPCError, RuntimeError) as error:
            raise _failure(error, workflow) from error
        return answer

    async def state(self, run: Run, result: type[M]) -> M:
        """As the Protocol says. What has completed answers by its result, which needs no worker."""
        if run.status != WorkflowExecutionStatus.COMPLETED.name:
            return await self.query(run.workflow, "state", result)
        try:
            handle = self._client.get_workflow_handle(run.workflow, result_type=result)
            ended: M = await handle.result(rpc_timeout=self._limit)
        except (WorkflowFailureError, RPCError, RuntimeError) as error:
            raise _failure(error, run.workflow) from error
        return ended

    async def update(self, workflow: str, name: str, argument: BaseModel, update_id: str, result: type[M]) -> M:
        """As the Protocol says; signs what is said, and waits until the handler has answered."""
        argument = self._signer.sign(workflow, name, update_id, argument)
        try:
            handle = self._client.get_workflow_handle(workflow)
            answer: M = await handle.execute_update(
                name, argument, id=update_id, result_type=result, rpc_timeout=self._limit
            )
        except WorkflowUpdateFailedError as error:
            raise _refusal(error) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise _no_worker() from error
        except (RPCError, RuntimeError) as error:
            raise _failure(error, workflow) from error
        return answer

    async def describe(self, workflow: str) -> Run | None:
        """As the Protocol says."""
        try:
            description = await self._client.get_workflow_handle(workflow).describe(rpc_timeout=self._limit)
            return await _run(description)
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise _failure(error, workflow) from error

    async def find(self, kind: Kind, component: ComponentKey, limit: int) -> list[Run]:
        """As the Protocol says. SQL visibility stores sort by close time, running ones first."""
        query = f'WorkflowType = "{kind}" AND {COMPONENT.name} = "{component}"'
        if kind == "Build":
            # What is built for a preview says nothing about the component's own branch.
            query += ' AND WorkflowId STARTS_WITH "build/"'
        return await self._found(query, limit, str(component))

    async def find_below(self, kind: Kind, prefix: str, limit: int) -> list[Run]:
        """As the Protocol says."""
        query = f'WorkflowType = "{kind}" AND WorkflowId STARTS_WITH "{prefix}"'
        return await self._found(query, limit, prefix)

    async def of_types(self, types: tuple[str, ...], repository: str, limit: int) -> list[Run]:
        """As the Protocol says."""
        query = f"WorkflowType IN ({', '.join(f'{chr(34)}{each}{chr(34)}' for each in types)})"
        if repository:
            query += f' AND {REPOSITORY.name} = "{repository}"'
        subject = repository or "the list of events"
        # Asked for together, what still runs would come first and leave no room for what is newer and done.
        open_, closed = await asyncio.gather(
            self._found(f'{query} AND ExecutionStatus = "Running"', limit, subject),
            self._found(f'{query} AND ExecutionStatus != "Running"', limit, subject),
        )
        return sorted([*open_, *closed], key=lambda run: run.started_at, reverse=True)[:limit]

    async def _found(self, query: str, limit: int, subject: str) -> list[Run]:
        found: dict[str, Run] = {}
        try:
            # Several runs of one id are one line, its latest; twice the limit leaves room for them.
            async for execution in self._client.list_workflows(query, limit=2 * limit, rpc_timeout=self._limit):
                run = await _run(execution)
                known = found.get(run.workflow)
                if known is None or known.started_at < run.started_at:
                    found[run.workflow] = run
        except (RPCError, RuntimeError) as error:
            raise _failure(error, subject) from error
        return sorted(found.values(), key=lambda run: run.started_at, reverse=True)[:limit]

    async def start(
        self,
        kind: Kind,
        argument: BaseModel,
        workflow: str,
        request: str,
        attributes: TypedSearchAttributes,
        summary: str,
        again: bool = False,
    ) -> bool:
        """As the Protocol says."""
        refuse_to_act()
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE if again else WorkflowIDReusePolicy.REJECT_DUPLICATE
        try:
            await self._client.start_workflow(
                kind,
                argument,
                id=workflow,
                task_queue=ids.CONTROL_QUEUE,
                id_reuse_policy=reuse,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={REQUEST_MEMO: request},
                search_attributes=attributes,
                static_summary=summary,
                rpc_timeout=self._limit,
            )
        except WorkflowAlreadyStartedError:
            return False
        except (RPCError, RuntimeError) as error:
            raise _failure(error, workflow) from error
        return True

    async def cancel(self, workflow: str) -> None:
        """As the Protocol says."""
        refuse_to_act()
        try:
            await self._client.get_workflow_handle(workflow).cancel(rpc_timeout=self._limit)
        except (RPCError, RuntimeError) as error:
            failure = _failure(error, workflow)
            if not isinstance(failure, Conflict):
                raise failure from error

    async def next_time(self, schedule: str) -> float | None:
        """As the Protocol says."""
        try:
            described = await self._client.get_schedule_handle(schedule).describe(rpc_timeout=self._limit)
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise _failure(error, schedule) from error
        times = described.info.next_action_times
        return None if described.schedule.state.paused or not times else times[0].timestamp()

    async def lanes(self) -> set[ComponentKey]:
        """As the Protocol says."""
        found: set[ComponentKey] = set()
        try:
            query = 'WorkflowType IN ("Lane", "Preview") AND ExecutionStatus = "Running"'
            async for execution in self._client.list_workflows(query, rpc_timeout=self._limit):
                component = execution.typed_search_attributes.get(COMPONENT)
                if component:
                    found.add(ComponentKey.parse(component))
        except (RPCError, RuntimeError) as error:
            raise _failure(error, "the list of lanes and previews") from error
        return found


async def _run(execution: WorkflowExecution) -> Run:
    status = execution.status or WorkflowExecutionStatus.RUNNING
    request = await execution.memo_value(REQUEST_MEMO, "")
    return Run(
        workflow=execution.id,
        status=status.name,
        started_at=execution.start_time.timestamp(),
        closed_at=execution.close_time.timestamp() if execution.close_time else 0,
        request=request if isinstance(request, str) else "",
        type=execution.workflow_type or "",
        attributes=execution.typed_search_attributes,
    )


def _refusal(error: WorkflowUpdateFailedError) -> Failure:
    """What a workflow has against an update: validators raise ApplicationError with the reason as its type,
    activities' failures carry the reason as first detail."""
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return InfrastructureFailure("UpdateFailed", "The workflow could not take this; see its run in Temporal.")
    reason = str(cause.details[0]) if cause.details else (cause.type or "Refused")
    return NotFound(reason, cause.message) if cause.type == "NotFound" else Conflict(reason, cause.message)


def _failure(error: Exception, subject: str) -> Failure:
    if isinstance(error, RPCError):
        if error.status == RPCStatusCode.NOT_FOUND:
            if "completed" in error.message:
                return Conflict("AlreadyEnded", f"{subject} has ended already.")
            return NotFound("RunNotFound", f"There is no {subject} (or it is no longer kept).")
        if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
            return _no_worker()
        if error.status == RPCStatusCode.FAILED_PRECONDITION:
            return _no_worker()
    return InfrastructureFailure("TemporalUnavailable", "Temporal cannot be reached; try again.")


def _no_worker() -> InfrastructureFailure:
    return InfrastructureFailure(
        "NoWorker",
        "No answer in time: is a control worker running? Asking again with the same Idempotency-Key is safe.",
    )
