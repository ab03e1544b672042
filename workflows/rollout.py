"""Rollout: one release into one environment, and back to the last good one when it does not float."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.cluster import Cluster
    from model import ids
    from model.gitops import Writing
    from model.lane import Answer
    from model.rollout import Applied, RolloutRequest, RolloutResult
    from model.steer import Standing, Steer
    from model.verdict import Verdict, worst
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.hooks import Hooks
    from workflows.progression import Progression
    from workflows.verifying import verify
    from workflows.writeback import WriteBack


@workflow.defn(name="Rollout")
class Rollout:
    """Apply, watch until stable, verify; on anything but a pass, apply the last good release again."""

    @workflow.init
    def __init__(self, request: RolloutRequest) -> None:
        self._queue = ids.data_queue(request.target.step.plane)
        self._target = request.target
        self._lines: list[str] = []
        self._hooks = Hooks(request, self._show)
        self._progression = Progression(request, self._show)
        self._undecided = False
        self._delivered = False
        self._writeback = WriteBack(request, self._show)

    @workflow.query
    def writing(self) -> Writing:
        """Which commits in a GitOps repository this rollout has made."""
        return self._writeback.writing

    @workflow.query
    def standing(self) -> Standing:
        """How far it is, and what it waits for."""
        return self._progression.standing(self._lines[-1].removeprefix("1. ") if self._lines else "it begins")

    @workflow.update
    def steer(self, steer: Steer) -> Answer:
        """A person lets it proceed, or takes it back."""
        return self._progression.steer(steer)

    @steer.validator
    def _validate_steer(self, steer: Steer) -> None:
        self._progression.validate(steer)

    @workflow.run
    async def run(self, request: RolloutRequest) -> RolloutResult:
        """The one deployment under way in its lane; a cancelled one ends where it stands."""
        try:
            refused = await self._hooks.before()
            if refused is not None:
                await self._hooks.undo()
                return self._end("untouched", refused)
            verdict = await self._bring_up(request)
            if verdict.passed:
                verdict = await self._hooks.after() or verdict
            if verdict.passed:
                return self._end("healthy", verdict)
            if self._undecided and self._holds(request):
                return self._end("inconclusive", verdict)
            await self._hooks.undo()
            if self._writeback.untouched:
                return self._end("untouched", verdict)
            if request.last_good is None or request.last_good.name == request.release.name:
                return self._end("failed", await self._taken_back(request, verdict))
            stage("rolling-back")
            self._show(f"**rolling back**: {verdict.reason}: {verdict.message}")
            back = request.model_copy(
                update={"release": request.last_good, "fence": request.fence + 1, "going_back": True}
            )
            returned = await self._bring_up(back)
            return self._end("rolled-back" if returned.passed else "stuck", verdict, returned)
        except asyncio.CancelledError:
            await self._hooks.undo()
            await self._writeback.withdraw()
            verdict = Verdict(health="inconclusive", reason="Preempted", message="A person's order went first.")
            return self._end("cancelled", verdict)

    async def _bring_up(self, request: RolloutRequest) -> Verdict:
        """One release, from applied to verified. Failures of the steps are verdicts too, never a pass."""
        release = request.release
        try:
            self._show(f"apply `{release.name}` as revision {request.revision}")
            if request.target.step.policy.gitops is not None:
                found, wrong = await self._writeback.deliver(request)
                if wrong is not None:
                    return wrong
            else:
                found = None
            applied = found
            if applied is None:
                applied = await perform(Cluster.apply, request, self._queue, release.name)
            self._delivered = True
            self._show("watch the rollout")
            running = await self._watch(request, applied)
            self._show(f"rollout: **{running.health}** {running.reason}: {running.message}")
            # What went wrong was seen, but for what could not be seen until the deadline.
            self._undecided = running.health == "inconclusive" and running.reason == "DeadlineExceeded"
            if not running.passed:
                return running
            verified = await self._verify(request)
            self._undecided = verified.health == "inconclusive"
            self._show(f"verification: **{verified.health}** {verified.reason}: {verified.message}")
            return verified if not verified.passed else worst((verified, running))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            cause = cause_of(error)
            health = "unhealthy" if cause.fault == "user" else "inconclusive"
            self._undecided = self._delivered and health == "inconclusive"
            verdict = Verdict.model_validate({"health": health, "reason": cause.reason, "message": cause.message})
            self._show(f"**{verdict.reason}**: {verdict.message}")
            return verdict

    async def _taken_back(self, request: RolloutRequest, verdict: Verdict) -> Verdict:
        """The verdict, once Git no longer asks for the release; with why where it still does."""
        wrong = await self._writeback.take_back(request)
        return verdict.model_copy(update={"message": f"{verdict.message} {wrong}"}) if wrong else verdict

    async def _watch(self, request: RolloutRequest, applied: Applied) -> Verdict:
        """To the end of the rollout; where it stops on the way, stop by stop."""
        if applied.stops:
            return await self._progression.run(request, applied, self._verify)
        return await perform(Cluster.watch, applied, self._queue, applied.name)

    async def _verify(self, request: RolloutRequest) -> Verdict:
        """The verdict on the release where it stands (`request.service`)."""
        return await verify(request)

    def _holds(self, request: RolloutRequest) -> bool:
        """Whether a release that came up, and of which nobody can tell, is left to a person's decision."""
        holds = request.target.step.policy.on_inconclusive == "hold"
        return holds and workflow.patched("inconclusive-is-held")

    def _end(self, result: str, verdict: Verdict, returned: Verdict | None = None) -> RolloutResult:
        stage(result)
        metrics.rolled_out(self._target, result)
        self._show(f"**{result}**")
        return RolloutResult.model_validate(
            {
                "result": result,
                "verdict": self._hooks.with_observations(verdict),
                "rollback_verdict": returned,
                "undoings": self._hooks.undoings,
                "not_undone": self._hooks.not_undone,
            }
        )

    def _show(self, line: str) -> None:
        self._lines.append(f"1. {line}")
        workflow.set_current_details("\n".join(self._lines))
