"""Progression: a release takes over stop by stop, each with its verdict, and people may steer it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from workflows.attributes import stage
from workflows.cause import cause_of
from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.cluster import Cluster
    from activities.progress import Progress
    from model import ids
    from model.lane import Answer
    from model.manifests import bundle
    from model.manifests.rollout import beside_name, stable_name
    from model.rollout import Applied, RolloutRequest
    from model.route import Weighing
    from model.steer import IDS_KEPT, Pause, Paused, Standing, Steer, refusal
    from model.strategy import CanaryStep
    from model.verdict import Verdict

Verify = Callable[[RolloutRequest], Awaitable[Verdict]]


class Progression:
    """The stops of one deployment.

    Args:
        request: the deployment.
        show: takes one line for people.

    The cluster waits at each stop without an end, so whatever dies here leaves it as it is.
    """

    def __init__(self, request: RolloutRequest, show: Callable[[str], None]) -> None:
        self._request = request
        self._show = show
        self._queue = ids.data_queue(request.target.step.plane)
        self._open = False
        self._pause: Pause | None = None
        self._proceeded = False
        self._aborted: Steer | None = None
        self._seen: list[str] = []

    def standing(self, message: str) -> Standing:
        """How far it is; `message` is the last thing that was shown."""
        request = self._request
        return Standing(
            release=request.release.name, revision=request.revision, message=message, pause=self._pause
        )

    def validate(self, steer: Steer) -> None:
        """Refuse what cannot be followed now.

        Raises:
            ApplicationError: `NotSteerable`, `NotWaiting`.
        """
        if steer.id in self._seen:
            return
        against = refusal(steer.kind, self._open and self._aborted is None, self._pause)
        if against is not None:
            raise ApplicationError(against[1], type=against[0], non_retryable=True)

    def steer(self, steer: Steer) -> Answer:
        """Follow a person's word (after `validate` had nothing against it)."""
        if steer.id in self._seen:
            return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
        self._seen = [*self._seen, steer.id][-IDS_KEPT:]
        why = f": {steer.reason}" if steer.reason else ""
        self._show(f"**{steer.kind}** by {steer.actor.name}{why}")
        if steer.kind == "abort":
            self._aborted = steer
            return Answer(accepted=True, reason="Aborting", message="It goes back to what ran before.")
        self._proceeded = True
        return Answer(accepted=True, reason="Proceeding", message="It goes on.")

    async def run(self, request: RolloutRequest, applied: Applied, verify: Verify) -> Verdict:
        """From the first stop to the end: the rollout's own verdict, or the one that ended it early.

        Whatever is not a pass has been aborted in the cluster when this returns; what cannot be aborted is
        said. A first deployment has no stops.
        """
        self._open = True
        try:
            verdict = await self._stops(request, applied, verify)
        except ActivityError as error:
            if not is_cancelled_exception(error):
                await self._abort(applied)
            raise
        finally:
            self._open = False
        await self._go_on()
        if not verdict.passed:
            await self._abort(applied)
        return verdict

    async def _stops(self, request: RolloutRequest, applied: Applied, verify: Verify) -> Verdict:
        strategy = request.target.step.policy.strategy
        steps = strategy.stops[: applied.stops] if strategy is not None else ()
        for number, step in enumerate(steps):
            at = applied.model_copy(update={"stop": number})
            reached = await self._unless_aborted(perform(Cluster.watch, at, self._queue, f"stop {number + 1}"))
            place = f"stop {number + 1} of {len(steps)}"
            self._show(f"{place}: **{reached.health}** {reached.reason}: {reached.message}")
            if not reached.passed or reached.reason != "StopReached":
                return reached
            await self._weigh(request, applied, step.weight)
            verdict = await self._guarded(at, self._prove(request, verify, step, number, len(steps)))
            if not verdict.passed:
                return verdict
            if self._aborted is not None:
                return _aborted(self._aborted)
            await perform(Progress.proceed, at, self._queue, f"past stop {number + 1}")
        ended = await self._unless_aborted(perform(Cluster.watch, applied, self._queue, applied.name))
        if ended.passed:
            # Both Services lead to the new release now; the next canary begins without traffic.
            await self._weigh(request, applied, 0)
        return ended

    async def _prove(
        self, request: RolloutRequest, verify: Verify, step: CanaryStep, number: int, stops: int
    ) -> Verdict:
        """What happens at a stop: time passes, the release is verified where it stands, people have their say."""
        where = Pause(
            stop=number + 1,
            stops=stops,
            weight=step.weight,
            reason="PausedForTime",
            message=f"For {step.pause_seconds:g} s.",
        )
        if step.pause_seconds:
            until = workflow.time() + step.pause_seconds
            await self._wait(where.model_copy(update={"until": until}), step.pause_seconds)
        verdict = await verify(self._beside(request))
        policy = request.target.step.policy
        asks = step.person
        if verdict.health == "inconclusive" and policy.on_inconclusive == "hold":
            asks = True
            where = where.model_copy(update={"reason": "Inconclusive"})
        elif not verdict.passed:
            return verdict
        if asks:
            said = f"{verdict.reason}: {verdict.message}"
            message = f"{said} Go on with `towpath proceed`, back with `towpath abort`."
            reason = "Inconclusive" if where.reason == "Inconclusive" else "PausedForPerson"
            until = workflow.time() + policy.gate_lasts_seconds
            asked = where.model_copy(update={"reason": reason, "message": message, "until": until})
            stage("waiting")
            if not await self._wait(asked, policy.gate_lasts_seconds):
                return Verdict(
                    health="inconclusive",
                    reason="NobodyProceeded",
                    message=f"Nobody let it proceed within {policy.gate_lasts_seconds:g} s. It was: {said}",
                    observations=verdict.observations,
                )
            stage("deploying")
        return verdict.model_copy(update={"health": "healthy"})

    async def _wait(self, pause: Pause, seconds: float) -> bool:
        """Wait so long at most; whether somebody let it proceed."""
        self._pause, self._proceeded = pause, False
        where = f"stop {pause.stop} of {pause.stops} ({pause.weight} %)"
        self._show(f"waits at {where}: {pause.reason}: {pause.message}")
        await self._tell(pause)
        try:
            await workflow.wait_condition(lambda: self._proceeded, timeout=timedelta(seconds=seconds))
            proceeded = True
        except TimeoutError:
            proceeded = False
        await self._go_on()
        return proceeded

    async def _go_on(self) -> None:
        if self._pause is not None:
            self._pause = None
            await self._tell(None)

    async def _tell(self, pause: Pause | None) -> None:
        """Let the lane know, which shows it to people."""
        lane = workflow.info().parent
        if lane is None:
            return
        told = Paused(revision=self._request.revision, pause=pause)
        try:
            await workflow.get_external_workflow_handle(lane.workflow_id).signal("paused", told)
        except ApplicationError as error:
            workflow.logger.info("%s has ended already: %s", lane.workflow_id, error.message)

    def _beside(self, request: RolloutRequest) -> RolloutRequest:
        """The request by which the release is verified before it has taken over."""
        strategy = request.target.step.policy.strategy
        if strategy is None or not bundle.served(request.release.workload):
            return request
        return request.model_copy(update={"service": beside_name(request.target, strategy)})

    async def _guarded(self, at: Applied, proving: Coroutine[Any, Any, Verdict]) -> Verdict:
        """The verdict of a stop, unless the release goes down or somebody moves it meanwhile."""
        guard = asyncio.create_task(perform(Progress.guard, at, self._queue, f"guard stop {at.stop + 1}"))
        proof = asyncio.create_task(proving)
        await _first(lambda: self._aborted is not None, guard, proof)
        if self._aborted is not None:
            return _aborted(self._aborted)
        # Certain trouble outweighs a verdict that came in the same moment.
        return guard.result() if _has_come(guard) else proof.result()

    async def _unless_aborted(self, step: Coroutine[Any, Any, Verdict]) -> Verdict:
        task = asyncio.create_task(step)
        await _first(lambda: self._aborted is not None, task)
        return _aborted(self._aborted) if self._aborted is not None else task.result()

    async def _weigh(self, request: RolloutRequest, applied: Applied, percent: int) -> None:
        """Let a Gateway API route give the canary so much, where the policy names one."""
        strategy = request.target.step.policy.strategy
        if strategy is None or not strategy.http_route or not bundle.served(request.release.workload):
            return
        weighing = Weighing(
            applied=applied,
            route=strategy.http_route,
            stable=stable_name(request.target),
            canary=beside_name(request.target, strategy),
            percent=percent,
        )
        await perform(Progress.weigh, weighing, self._queue, f"{percent} % by {strategy.http_route}")

    async def _abort(self, applied: Applied) -> None:
        """Take the traffic back to what was stable; applying the last good release follows, and does so too."""
        self._show("abort: what was stable before takes all the traffic")
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            lambda: self._weigh(self._request, applied, 0),
            lambda: self._taken_back(applied),
        )
        for step in steps:
            try:
                await step()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                cause = cause_of(error)
                self._show(f"not aborted: **{cause.reason}**: {cause.message}")

    async def _taken_back(self, applied: Applied) -> None:
        await perform(Progress.abort, applied, self._queue, applied.name)


def _aborted(steer: Steer) -> Verdict:
    why = f": {steer.reason}" if steer.reason else ""
    return Verdict(health="unhealthy", reason="AbortedByPerson", message=f"{steer.actor.name} aborted it{why}.")


async def _first(enough: Callable[[], bool], *tasks: "asyncio.Task[Any]") -> None:
    """Wait until one has come to its end, or it is enough; end the others."""
    try:
        await workflow.wait_condition(lambda: enough() or any(task.done() for task in tasks))
    finally:
        for task in tasks:
            # What it ends with has been looked at, or does not matter any more.
            task.add_done_callback(_has_come)
            task.cancel()
    await asyncio.wait(tasks)


def _has_come(task: "asyncio.Task[Any]") -> bool:
    """Whether it ended by itself, and was not made to."""
    if task.cancelled():
        return False
    error = task.exception()
    return error is None or not is_cancelled_exception(error)
