"""Vigil: watching on after a promotion, and the alarm when what was healthy no longer is."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.watchkeeping import Watchkeeping
    from model import ids
    from model.markdown import cell
    from model.sight import Memory, Sight, summary
    from model.verdict import Finding, Verdict
    from model.vigil import Alarm, VigilRequest
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform


@workflow.defn(name="Vigil")
class Vigil:
    """Looks every interval until the time is over; idle in between, and cancelled when the lane moves on."""

    @workflow.init
    def __init__(self, request: VigilRequest) -> None:
        self._request = request
        self._memory = request.memory
        self._until = request.until or workflow.time() + request.seconds
        self._unclear: tuple[Finding, ...] = ()

    @workflow.query
    def memory(self) -> Memory:
        """What the looks so far have left."""
        return self._memory

    @workflow.run
    async def run(self, request: VigilRequest) -> Verdict:
        """The alarm's verdict, or at the end healthy; inconclusive when nobody could tell at the end."""
        try:
            return await self._watch(request)
        except (asyncio.CancelledError, ActivityError) as error:
            if not is_cancelled_exception(error):
                raise
            # Told by the lane, which is not to see a failure in it.
            stage("superseded")
            self._show("is no longer watched: the lane has moved on")
            return Verdict(
                health="inconclusive",
                reason="NoLongerWatched",
                message="The lane has moved on.",
                observations=self._memory.observations,
            )

    async def _watch(self, request: VigilRequest) -> Verdict:
        self._show("is watched")
        while (left := self._until - workflow.time()) > 0:
            await workflow.sleep(timedelta(seconds=min(request.interval_seconds, left)))
            sight = await self._look()
            if sight is not None and sight.alarm is not None:
                await self._sound(sight.alarm)
                return sight.alarm
            self._show("is watched")
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(request.model_copy(update={"until": self._until, "memory": self._memory}))
        verdict = summary(self._memory, request.seconds, self._unclear)
        stage(verdict.health)
        self._show(f"**{verdict.health}** {verdict.reason}: {verdict.message}")
        return verdict

    async def _look(self) -> Sight | None:
        """One look; None when it was not possible, which is told and is neither good nor bad."""
        asked = self._request.model_copy(update={"memory": self._memory})
        queue = ids.data_queue(self._request.target.step.plane)
        try:
            sight = await perform(Watchkeeping.look, asked, queue, self._request.release.name)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            finding = Finding(check="look", health="inconclusive", reason=cause.reason, message=cause.message)
            self._unclear = (finding,)
            return None
        self._memory, self._unclear = sight.memory, sight.unclear
        return sight

    async def _sound(self, verdict: Verdict) -> None:
        """Tell the lane; one that is gone needs no alarm."""
        request = self._request
        stage("alarmed")
        self._show(f"**alarm** {verdict.reason}: {verdict.message}")
        alarm = Alarm(id=f"{workflow.info().workflow_id}/alarm", revision=request.revision, verdict=verdict)
        try:
            await workflow.get_external_workflow_handle(request.lane).signal("alarm", alarm)
        except ApplicationError as error:
            workflow.logger.warning("%s could not be told of an alarm: %s", request.lane, error.message)

    def _show(self, line: str) -> None:
        request, memory = self._request, self._memory
        lines = [
            f"revision {request.revision} `{request.release.name}` {line}",
            "",
            f"{memory.looks} looks so far",
        ]
        lines += [f"1. unclear: {cell(finding.message)}" for finding in self._unclear]
        lines += [
            f"1. failing: {cell(name)}, {run} looks in a row"
            for name, run in sorted(memory.failing.items())
            if run
        ]
        workflow.set_current_details("\n".join(lines))
