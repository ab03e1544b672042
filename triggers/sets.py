"""Release sets: list, start, approve, cancel, roll back."""

import asyncio
from typing import Literal

from model import ids
from model.actor import Actor
from model.failure import Conflict, InfrastructureFailure, NotFound
from model.gate import Approval
from model.lane import Answer
from model.release_set import (
    GOOD,
    ReleaseSetRequest,
    ReleaseSetState,
    SetOrder,
    SetRollbackRequest,
    SetRollbackState,
    Taken,
)
from triggers.runs import Run, Runs
from triggers.setviews import SetRollbackView, SetView
from triggers.views import Accepted
from triggers.webhooks.receiver import Link
from workflows.attributes import attributes


class Sets:
    """The ReleaseSet workflows of projects."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def newest(self, namespace: str, project: str, limit: int) -> list[SetView]:
        """The project's newest sets first. One that cannot answer is shown with its `problem`."""
        prefix = ids.release_set(namespace, project, "")
        runs = await self._runs.find_below("ReleaseSet", prefix, limit)
        return list(await asyncio.gather(*(self._view_or_problem(namespace, project, run) for run in runs)))

    async def get(self, namespace: str, project: str, name: str) -> SetView:
        """One set, with its ways back.

        Raises:
            NotFound: `SetNotFound`.
        """
        run, state = await self._state(namespace, project, name)
        found = await asyncio.gather(
            *(self._rollback(namespace, project, name, environment) for environment in state.environments)
        )
        view = self._view(run, state)
        return view.model_copy(update={"rollbacks": tuple(one for one in found if one is not None)})

    async def start(self, request: ReleaseSetRequest, key: str) -> Accepted:
        """Send a set on its way; `key` is the caller's idempotency key.

        Raises:
            Conflict: `SetExists`, another set has this name.
        """
        workflow = ids.release_set(request.namespace, request.project, request.name)
        started = await self._runs.start(
            "ReleaseSet",
            request,
            workflow,
            key,
            attributes(project=request.project, stage="promoting"),
            f"Set {request.name}: {len(request.releases)} releases to {request.until}, wanted by "
            f"{request.actor.name}"[:200],
        )
        if not started:
            run = await self._runs.describe(workflow)
            if run is None or run.request != key:
                raise Conflict(
                    "SetExists", f"There is a set {request.name} already; give this one another --name."
                )
        message = f"Set {request.name} is on its way to {request.until}: {len(request.releases)} components."
        return self._accepted("Promoting", message, workflow, duplicate=not started)

    async def decide(
        self, namespace: str, project: str, name: str, approval: Approval, kind: Literal["approve", "reject"]
    ) -> Accepted:
        """Hand a person's yes or no to the gate; it is bound to the set's digest.

        Raises:
            NotFound: `SetNotFound`.
            Conflict: the gate refuses it, with its reason.
        """
        run, state = await self._state(namespace, project, name)
        bound = approval.model_copy(
            update={"digest": approval.digest or state.request.digest, "approve": kind == "approve"}
        )
        answer = await self._runs.update(run.workflow, "approve", bound, bound.id, Answer)
        return self._accepted(
            answer.reason, f"set {name} -> {approval.environment}: {answer.message}", run.workflow
        )

    async def cancel(self, namespace: str, project: str, name: str, order: SetOrder) -> Accepted:
        """Stop a set under way; what it has changed in the environment under way goes back.

        Raises:
            NotFound: `SetNotFound`.
            Conflict: `AlreadyEnded`.
        """
        workflow = ids.release_set(namespace, project, name)
        try:
            answer = await self._runs.update(workflow, "order", order, order.id, Answer)
        except NotFound:
            raise _absent(project, name) from None
        return self._accepted(answer.reason, answer.message, workflow)

    async def roll_back(
        self, namespace: str, project: str, name: str, environment: str, actor: Actor, reason: str, key: str
    ) -> Accepted:
        """Take back, in one environment, what a finished set changed there.

        Raises:
            NotFound: `SetNotFound`.
            Conflict: `SetUnderWay` (cancel it instead) or `NothingToRollBack`.
        """
        run, state = await self._state(namespace, project, name)
        if run.open:
            raise Conflict("SetUnderWay", f"Set {name} is still under way; `towpath set cancel` takes it back.")
        at = state.environments.get(environment)
        members = at.members if at is not None and at.phase == "healthy" else {}
        changed = {member: one for member, one in members.items() if one.phase in GOOD - {"unchanged"}}
        if not changed:
            raise Conflict("NothingToRollBack", f"Set {name} has changed nothing in {environment!r} that stands.")
        request = SetRollbackRequest(
            id=key,
            set=run.workflow,
            name=name,
            namespace=namespace,
            project=project,
            environment=environment,
            taken=tuple(
                Taken(
                    component=state.components[member],
                    step=state.pipelines[member].step(environment),
                    release=next(each for each in state.request.releases if each.component.name == member),
                    request=one.request,
                )
                for member, one in changed.items()
            ),
            after=state.after,
            actor=actor,
            reason=reason,
        )
        workflow = ids.set_rollback(namespace, project, name, environment)
        started = await self._runs.start(
            "SetRollback",
            request,
            workflow,
            key,
            attributes(project=project, environment=environment, stage="rolling-back"),
            f"Set {name} goes back in {environment}, wanted by {actor.name}"[:200],
            again=True,
        )
        return self._accepted("RollingBack", f"Set {name} goes back in {environment}.", workflow, not started)

    async def _state(self, namespace: str, project: str, name: str) -> tuple[Run, ReleaseSetState]:
        run = await self._runs.describe(ids.release_set(namespace, project, name))
        if run is None:
            raise _absent(project, name)
        return run, await self._runs.state(run, ReleaseSetState)

    async def _rollback(self, namespace: str, project: str, name: str, environment: str) -> SetRollbackView | None:
        run = await self._runs.describe(ids.set_rollback(namespace, project, name, environment))
        if run is None:
            return None
        state = await self._runs.state(run, SetRollbackState)
        return SetRollbackView(
            environment=environment,
            workflow=run.workflow,
            url=self._link(run.workflow),
            open=run.open,
            outcome=state.outcome,
            message=state.message,
            actor=state.request.actor,
            members=tuple(state.members.values()),
        )

    async def _view_or_problem(self, namespace: str, project: str, run: Run) -> SetView:
        try:
            return self._view(run, await self._runs.state(run, ReleaseSetState))
        except (InfrastructureFailure, NotFound) as failure:
            return SetView(
                namespace=namespace,
                project=project,
                name=run.workflow.rpartition("/")[2],
                workflow=run.workflow,
                url=self._link(run.workflow),
                open=run.open,
                problem=failure.message,
                started_at=run.started_at,
                finished_at=run.closed_at,
            )

    def _view(self, run: Run, state: ReleaseSetState) -> SetView:
        request = state.request
        return SetView(
            namespace=request.namespace,
            project=request.project,
            name=request.name,
            workflow=run.workflow,
            url=self._link(run.workflow),
            open=run.open,
            outcome=state.outcome,
            message=state.message,
            until=request.until,
            digest=request.digest,
            actor=request.actor,
            reason=request.reason,
            environments=tuple(state.environments.values()),
            started_at=run.started_at,
            finished_at=run.closed_at,
        )

    def _accepted(self, reason: str, message: str, workflow: str, duplicate: bool = False) -> Accepted:
        return Accepted(
            reason=reason, message=message, workflow=workflow, url=self._link(workflow), duplicate=duplicate
        )


def _absent(project: str, name: str) -> NotFound:
    return NotFound("SetNotFound", f"Project {project} has no set {name}; `towpath set list` shows them.")
