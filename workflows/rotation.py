"""Rotation: a repository's webhook secret is replaced without a moment in which deliveries are refused."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.webhooks import Webhooks
    from model.registration import Rotated, RotationRequest, RotationStep
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform

SPREADING_SECONDS = 35
"""How long until every server has read a new secret: they look every 30 s, and at once when told of it."""


@workflow.defn(name="Rotation")
class Rotation:
    """The fresh secret counts before the provider signs with it, and the old one for a while after."""

    @workflow.init
    def __init__(self, request: RotationRequest) -> None:
        self._request = request
        self._state = Rotated(message="A fresh secret is made.")

    @workflow.query
    def state(self) -> Rotated:
        """How far it is."""
        return self._state

    @workflow.run
    async def run(self, _request: RotationRequest) -> Rotated:
        """Prepare, install, promote, and retire the old one in the end."""
        try:
            await self._rotate(self._request)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            # Both secrets count still, so nothing is lost; rotating again goes on from here.
            self._enter("failed", f"{cause.reason}: {cause.message}")
        return self._state

    async def _rotate(self, request: RotationRequest) -> None:
        await perform(Webhooks.prepare, request)
        self._enter("spreading", "A fresh secret counts beside the present one; all servers are to know it first.")
        await workflow.sleep(timedelta(seconds=SPREADING_SECONDS))
        self._enter("installing", "The provider is told of the fresh secret.")
        await perform(Webhooks.install, request)
        until = workflow.time() + request.grace_seconds
        await perform(Webhooks.promote, RotationStep(request=request, until=until))
        self._enter("live", "The provider signs with the fresh secret; the old one counts for a while.", until)
        await workflow.sleep(timedelta(seconds=request.grace_seconds + 1))
        await perform(Webhooks.retire, request)
        self._enter("done", "The old secret is dropped.")

    def _enter(self, phase: str, message: str, until: float = 0) -> None:
        self._state = Rotated.model_validate({"phase": phase, "message": message, "until": until})
        stage(phase)
        workflow.set_current_details(f"**{phase}** {message}")
