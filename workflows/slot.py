"""Slot: a build's place on its plane, from asking for it to giving it back."""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.build_queues import BuildQueues
    from model import ids
    from model.build import BuildRequest
    from model.build_queue import Asking, Held, Leaving, Place
    from model.slot import entry_of
    from workflows.cause import cause_of
    from workflows.effort import perform, perform_here

ASK_AGAIN_SECONDS, ASK_AGAIN_MOST_SECONDS = 60.0, 600.0
COUNTED_SECONDS = 2.0


class Slot:
    """Asks the plane's queue, and waits for its word. Without that word nothing is submitted."""

    def __init__(self, request: BuildRequest) -> None:
        self._plane = request.component.build_plane
        self._entry = entry_of(request, workflow.info().workflow_id, workflow.time())
        self._asked = False
        self._granted = False
        self._over = False

    def grant(self) -> None:
        """The queue has given this build its slot; twice is once."""
        self._granted = True

    def held(self, submitted: bool) -> Held:
        """What the queue is told when it asks. `submitted`: something of this build is on the plane, with or
        without a slot, as with builds from before there were any."""
        holds = self._granted or submitted
        over = self._over
        return Held(
            plane=self._plane,
            entry=self._entry,
            holds=holds and not over,
            wants=self._asked and not holds and not over,
        )

    async def take(self, gone: Callable[[], bool], tell: Callable[[Place], None]) -> str:
        """Wait for a slot, or until `gone`. `tell` is called when it has to wait. Returns the newer build that
        this one gives way to; empty when it has its slot, or is gone.

        Asks again now and then: the queue may have been ended, and would then know nothing of this build.
        """
        asking = Asking(plane=self._plane, entries=(self._entry,))
        self._asked = True
        place = (await perform_here(BuildQueues.enter, asking, summary=self._plane)).places[0]
        pause = COUNTED_SECONDS if place.reason == "CountingBuilds" else ASK_AGAIN_SECONDS
        while not gone():
            if place.result == "superseded":
                return place.by or "a newer build"
            if place.result == "granted" or self._granted:
                self._granted = True
                return ""
            tell(place)
            try:
                await workflow.wait_condition(lambda: self._granted or gone(), timeout=timedelta(seconds=pause))
            except TimeoutError:
                pause = min(max(pause * 2, ASK_AGAIN_SECONDS), ASK_AGAIN_MOST_SECONDS)
                place = (await perform(BuildQueues.enter, asking, summary=self._plane)).places[0]
        return ""

    async def leave(self) -> None:
        """Give the slot back, or the place in the queue; once. Nothing of this build is on the plane by now."""
        over, self._over = self._over, True
        if over or not self._asked:
            return
        queue = workflow.get_external_workflow_handle(ids.queue(self._plane))
        try:
            await queue.signal("leave", Leaving(build=self._entry.build))
        except ApplicationError as error:
            # It was ended from outside. Others may wait for it, and none of them may ask soon.
            workflow.logger.warning("the queue of %s does not run: %s", self._plane, error.message)
            await self._wake()

    async def _wake(self) -> None:
        try:
            await perform(BuildQueues.wake, self._plane)
        except ActivityError as error:
            # Those who wait ask by themselves before long; this build has ended well all the same.
            workflow.logger.warning("the queue of %s was not started: %s", self._plane, cause_of(error).message)
