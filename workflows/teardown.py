"""Teardown: a component was deleted; stop what runs for it and leave nothing behind."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lanes import Lanes
    from activities.resources import Resources
    from model.teardown import TeardownRequest, TeardownState
    from workflows.effort import perform

# Visibility is behind by milliseconds, and a build that ends may just have started a promotion.
ROUNDS = 20
PAUSE = timedelta(seconds=2)


@workflow.defn(name="Teardown")
class Teardown:
    """Cancels deliveries, builds and promotions, then has every lane and preview take down what it runs."""

    @workflow.init
    def __init__(self, _request: TeardownRequest) -> None:
        self._state = TeardownState()

    @workflow.query
    def state(self) -> TeardownState:
        """How far the clean-up is."""
        return self._state

    @workflow.run
    async def run(self, request: TeardownRequest) -> TeardownState:
        """Look for what runs until nothing does. A component that is back is left alone."""
        key = request.component.key
        for _ in range(ROUNDS):
            if await perform(Resources.component, key) is not None:
                self._state.back = True
                break
            found = await perform(Lanes.open_runs, key)
            begun = (*found.deliveries, *found.builds, *found.promotions)
            entities = (*found.lanes, *found.previews)
            if not (begun or entities):
                break
            await asyncio.gather(*(self._cancel(name) for name in begun))
            if not begun:
                await asyncio.gather(*(self._retire(name) for name in entities))
            await workflow.sleep(PAUSE)
        self._show(key.name)
        return self._state

    async def _cancel(self, name: str) -> None:
        try:
            await workflow.get_external_workflow_handle(name).cancel()
        except ApplicationError as error:
            workflow.logger.info("%s has ended by itself: %s", name, error.message)
            return
        if name not in self._state.stopped:
            self._state.stopped.append(name)

    async def _retire(self, name: str) -> None:
        try:
            await workflow.get_external_workflow_handle(name).signal("retire")
        except ApplicationError as error:
            workflow.logger.info("%s has ended by itself: %s", name, error.message)
            return
        if name not in self._state.removed:
            self._state.removed.append(name)

    def _show(self, name: str) -> None:
        lines = [f"**{name}** was deleted" + (" and is back" if self._state.back else "")]
        lines += [f"- stopped `{run}`" for run in self._state.stopped]
        lines += [f"- taken down `{run}`" for run in self._state.removed]
        workflow.set_current_details("\n".join(lines))
