"""Hooks: the Jobs around one deployment, and undoing them in reverse when it does not stand."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.jobs import Jobs
    from model import ids
    from model.hook import COMPENSATION_RETRIES, Hook, Outcome, Undoing, may_be_done, observation, verdict
    from model.job import JobRequest
    from model.rollout import RolloutRequest
    from model.verdict import Observation, Verdict


class Hooks:
    """The hooks of one deployment.

    Args:
        request: the deployment; one that goes back runs none, and undoes those that it names.
        show: takes one line for people.

    Every Job's id holds the lane's revision and fence: whatever dies, the same Job is found again.
    """

    def __init__(self, request: RolloutRequest, show: Callable[[str], None]) -> None:
        self._request = request
        self._show = show
        self._queue = ids.data_queue(request.target.step.plane)
        self._done: list[Undoing] = []
        self._observations: list[Observation] = []
        self._not_undone: list[str] = []

    @property
    def undoings(self) -> tuple[Undoing, ...]:
        """What was done and can be undone, in the order in which it was done."""
        return tuple(self._done)

    @property
    def not_undone(self) -> tuple[str, ...]:
        """Which compensations failed, and why."""
        return tuple(self._not_undone)

    def with_observations(self, judged: Verdict) -> Verdict:
        """The verdict, with what the hooks have said."""
        if not self._observations:
            return judged
        return judged.model_copy(update={"observations": (*self._observations, *judged.observations)})

    async def before(self) -> Verdict | None:
        """Run the hooks before the release is applied; a verdict when it must not be."""
        if self._request.going_back:
            await _to_the_end(self._undo(self._request.undo))
            return None
        return await self._run(self._request.target.step.policy.hooks_before, "before")

    async def after(self) -> Verdict | None:
        """Run the hooks after the release was verified; a verdict when it must not stay."""
        if self._request.going_back:
            return None
        return await self._run(self._request.target.step.policy.hooks_after, "after")

    async def undo(self) -> None:
        """Undo what was done here, last first. Those that fail are kept in `not_undone`; the rest goes on.

        Raises:
            CancelledError: the deployment was cancelled meanwhile; everything is undone all the same.
        """
        done, self._done = self._done, []
        await _to_the_end(self._undo(tuple(reversed(done))))

    async def _run(self, hooks: Sequence[Hook], when: str) -> Verdict | None:
        request = self._request
        for hook in hooks:
            where = f"{request.target.component.key}/{request.target.step.environment}"
            undoing = Undoing.model_validate(
                {
                    "id": f"{where}/{request.revision}/{request.fence}/{when}/{hook.name}",
                    "hook": hook,
                    "when": when,
                    "release": request.release,
                    "revision": request.revision,
                }
            )
            self._show(f"hook `{hook.name}` {when} it")
            # Noted first: one that is cut off half-way may have come far.
            self._note(undoing)
            outcome = await self._perform(undoing, hook.name, hook.command, hook.retries)
            self._observations.append(observation(hook.name, when, outcome))
            self._show(f"hook `{hook.name}`: **{outcome.result}** {outcome.reason}: {outcome.message}")
            if workflow.cancellation_reason() is not None:
                raise asyncio.CancelledError
            if outcome.result != "succeeded":
                if not may_be_done(outcome):
                    self._done = [done for done in self._done if done.id != undoing.id]
                return verdict(hook.name, when, outcome)
        return None

    def _note(self, undoing: Undoing) -> None:
        if undoing.hook.compensation:
            self._done.append(undoing)

    async def _undo(self, undoings: Sequence[Undoing]) -> None:
        for undoing in undoings:
            hook = undoing.hook
            self._show(f"undo hook `{hook.name}`")
            retries = max(hook.retries, COMPENSATION_RETRIES)
            # By the fence as well: what is undone for this deployment is undone once for it.
            again = undoing.model_copy(update={"id": f"{undoing.id}/undone/{self._request.fence}"})
            outcome = await self._perform(again, f"undo-{hook.name}", hook.compensation, retries)
            self._observations.append(observation(hook.name, "undone", outcome))
            self._show(f"undo hook `{hook.name}`: **{outcome.result}** {outcome.reason}: {outcome.message}")
            if outcome.result != "succeeded":
                self._not_undone.append(f"hook {hook.name}: {outcome.reason}: {outcome.message}")

    async def _perform(self, undoing: Undoing, name: str, command: tuple[str, ...], retries: int) -> Outcome:
        hook = undoing.hook
        try:
            result = await perform(
                Jobs.run,
                JobRequest(
                    id=undoing.id,
                    name=name,
                    target=self._request.target,
                    release=undoing.release,
                    command=command,
                    image=hook.image,
                    variables=hook.variables,
                    deadline_seconds=hook.deadline_seconds,
                    retries=retries,
                ),
                self._queue,
                name,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            cause = cause_of(error)
            # What the user has to change never ran; for anything else nobody can say.
            ended = "failed" if cause.fault == "user" else "unknown"
            return Outcome.model_validate(
                {"result": ended, "reason": cause.reason, "message": cause.message, "at": workflow.time()}
            )
        return Outcome(
            result=result.result,
            reason=result.reason,
            message=result.message,
            exit_code=result.exit_code,
            log=result.log,
            at=result.finished_at or workflow.time(),
        )


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish it, also when this deployment is cancelled meanwhile; that is raised afterwards."""
    working = asyncio.create_task(work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await working
        raise
