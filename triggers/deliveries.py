"""Deliveries that people have started: what came of them."""

from model import ids
from model.delivery import DeliveryState
from model.failure import NotFound
from model.key import ComponentKey
from triggers.runs import Run, Runs
from triggers.views import DeliveryView
from triggers.webhooks.receiver import Link


class Deliveries:
    """The Delivery workflows of triggers."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def triggered(self, component: ComponentKey, request: str) -> DeliveryView:
        """What a trigger has come to; `request` is its idempotency key.

        Raises:
            NotFound: `DeliveryNotFound`.
            InfrastructureFailure: `NoWorker`, `TemporalUnavailable`.
        """
        workflow = ids.triggered(component, request)
        run, state = await self._state(workflow)
        return DeliveryView(
            workflow=workflow,
            url=self._link(workflow),
            open=run.open,
            outcome=state.outcome,
            message=state.message,
            ref=state.push.ref,
            asked=state.push.after,
            commit=state.commit,
            builds=tuple(state.builds),
        )

    async def _state(self, workflow: str) -> tuple[Run, DeliveryState]:
        run = await self._runs.describe(workflow)
        if run is None:
            raise NotFound("DeliveryNotFound", f"There is no {workflow} (or it is no longer kept).")
        return run, await self._runs.state(run, DeliveryState)
