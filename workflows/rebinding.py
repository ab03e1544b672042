"""Rebinding: somebody else edited a ReleaseBinding. It is a promotion like any other, and is answered there."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.bindings import Bindings
    from activities.resources import Resources
    from model import ids
    from model.note import Note
    from model.promotion import FINAL, PromotionRequest, PromotionState, StepState
    from model.rebinding import RebindingAnswer, RebindingLook, RebindingRequest, RebindingState
    from model.release import Release
    from workflows.attributes import attributes, stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.promotion import Promotion

# Often as long as somebody may be looking, then seldom: a gate may stay closed for weeks.
PAUSE = timedelta(seconds=10)
LOOKS_OFTEN = 60
LONG_PAUSE = timedelta(minutes=10)
LOOKS_LIMIT = 5000


@workflow.defn(name="Rebinding")
class Rebinding:
    """Promotes the release that a binding names up to its environment, gates included, and says how it went."""

    @workflow.init
    def __init__(self, request: RebindingRequest) -> None:
        self._state = RebindingState(request=request)

    @workflow.query
    def state(self) -> RebindingState:
        """What came of the edit."""
        return self._state

    @workflow.run
    async def run(self, request: RebindingRequest) -> RebindingState:
        """From the edit to its answer; every way out has a reason."""
        if request.deleted:
            return await self._tell_of_deletion(request)
        seen = await perform(Bindings.look, request, summary=request.binding)
        if not seen.current:
            return self._end("Overtaken", "The binding says something else by now, or is gone.")
        if seen.runs:
            return await self._answer("True", "Agrees", f"{request.environment} runs {request.release}.", "")
        if seen.release is None:
            message = (
                f"There is no release {request.release} of {request.component}; "
                f"{request.environment} keeps {seen.running or 'nothing'}. See `towpath releases`."
            )
            return await self._answer("False", "ReleaseNotFound", message, "Warning")
        if seen.reason:
            return await self._answer("False", seen.reason, seen.message, "Warning")
        message = f"{request.manager} wants {request.release} in {request.environment}; it goes through the gates."
        await self._answer("Unknown", "Promoting", message, "Normal")
        try:
            return await self._promote(request, seen.release)
        except ChildWorkflowError as error:
            if is_cancelled_exception(error):
                return await self._keeps("Cancelled", "somebody cancelled its promotion.")
            cause = cause_of(error)
            return await self._keeps(cause.reason, cause.message)

    async def _promote(self, request: RebindingRequest, release: Release) -> RebindingState:
        try:
            ended: PromotionState = await workflow.execute_child_workflow(
                Promotion.run,
                PromotionRequest(release=release, until=request.environment, actor=request.actor, pinned=True),
                id=ids.promotion(release.component, release.name),
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=attributes(
                    project=release.project,
                    component=str(release.component),
                    commit=release.commit.id,
                    stage="promoting",
                ),
                static_summary=f"Promote {release.name}, wanted by {request.actor.name}"[:200],
            )
        except WorkflowAlreadyStartedError:
            return await self._await_other(request)
        step = ended.steps.get(request.environment)
        if step is not None and step.phase == "healthy":
            return await self._runs(request)
        return await self._keeps(*_why(step, ended))

    async def _await_other(self, request: RebindingRequest) -> RebindingState:
        """The release is on its way already: wait until it is there, or the binding says something else."""
        for number in range(LOOKS_LIMIT):
            await workflow.sleep(PAUSE if number < LOOKS_OFTEN else LONG_PAUSE)
            seen: RebindingLook = await perform(Bindings.look, request, summary=request.binding)
            if seen.runs:
                return await self._runs(request)
            if not seen.current:
                return self._end("Overtaken", "The binding says something else by now, or is gone.")
        return await self._keeps("NotInTime", f"{request.release} did not arrive.")

    async def _runs(self, request: RebindingRequest) -> RebindingState:
        return await self._answer("True", "Promoted", f"{request.environment} runs {request.release}.", "Normal")

    async def _keeps(self, reason: str, message: str) -> RebindingState:
        """It did not come to what the binding says; the binding is left as it was written, and says why not."""
        request = self._state.request
        seen = await perform(Bindings.look, request, summary=request.binding)
        if seen.runs:
            return await self._runs(request)
        kept = f"{request.environment} keeps {seen.running or 'nothing'}, not {request.release}: {message}"
        return await self._answer("False", reason or "NotPromoted", kept, "Warning")

    async def _tell_of_deletion(self, request: RebindingRequest) -> RebindingState:
        component = await perform(Resources.component, request.component)
        message = (
            f"ReleaseBinding {request.binding} was deleted; what runs in {request.environment} keeps running. "
            "It is written again with the next deployment; delete the component to take it down."
        )
        if component is not None:
            note = Note(
                component=component,
                type="Warning",
                reason="BindingDeleted",
                message=message,
                workflow=workflow.info().workflow_id,
            )
            await perform(Resources.tell, note, summary=note.reason)
        return self._end("BindingDeleted", message)

    async def _answer(self, status: str, reason: str, message: str, event: str) -> RebindingState:
        answer = RebindingAnswer.model_validate(
            {
                "request": self._state.request,
                "status": status,
                "reason": reason,
                "message": message,
                "event": event,
            }
        )
        try:
            await perform(Bindings.answer, answer, summary=reason)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("could not be answered: %s", cause_of(error).message)
        return self._end(reason, message)

    def _end(self, outcome: str, message: str) -> RebindingState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        workflow.set_current_details(f"**{outcome}** {message}")
        return self._state


def _why(step: StepState | None, ended: PromotionState) -> tuple[str, str]:
    """Why a promotion did not bring its release to the environment."""
    if step is None:
        return "NotPromoted", "the pipeline does not lead there."
    earlier = [
        found
        for found in ended.steps.values()
        if found.phase in FINAL and found.phase not in ("healthy", "skipped")
    ]
    told = step if step.phase != "skipped" or not earlier else earlier[0]
    return told.reason or "NotPromoted", f"{told.environment}: {told.message}"
