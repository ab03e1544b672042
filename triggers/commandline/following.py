"""Following what was triggered, from the accepted request to where it stops."""

import time
from collections.abc import Callable

from model.key import ComponentKey
from triggers.commandline.application import Trouble
from triggers.commandline.client import Api
from triggers.commandline.output import printable
from triggers.views import ComponentDetail, DeliveryView


class Timeline:
    """Says a line when something has changed, with the time in UTC. `quiet`: to nobody."""

    def __init__(self, clock: Callable[[], float], quiet: bool = False) -> None:
        self._clock = clock
        self._quiet = quiet
        self._said: dict[str, str] = {}

    def say(self, what: str, message: str) -> None:
        """Say something of a subject, unless it was the last that was said of it."""
        if self._said.get(what) == message:
            return
        self._said[what] = message
        if not self._quiet:
            at = time.strftime("%H:%M:%S", time.gmtime(self._clock()))
            print(f"{at}  {what:<12} {printable(message)}", flush=True)


def follow(api: Api, name: ComponentKey, request: str, timeout: float, timeline: Timeline) -> ComponentDetail:
    """Wait until a trigger's commit is done, has failed, or waits for people.

    Args:
        api: is asked.
        name: the component.
        request: the trigger's idempotency key.
        timeout: seconds for all of it.
        timeline: is told what happens.

    Raises:
        Trouble: nothing was built, or it takes longer.
    """
    deadline = api.clock() + timeout
    delivery = api.wait_for(lambda: api.triggered(name, request), _not_begun, timeout)
    if not delivery.builds:
        raise Trouble(f"Nothing was built: {delivery.outcome}.", printable(delivery.message))
    timeline.say("source", f"{delivery.ref} is at {delivery.commit}")
    own = min(int(built.workflow.rpartition("/")[2]) for built in delivery.builds)

    def why_not(found: ComponentDetail) -> str:
        newest = next((build for build in found.builds if build.commit == delivery.commit), None)
        if newest is None or newest.number < own:
            return "its build is not listed yet"
        timeline.say("build", f"{newest.number} of {newest.commit[:7]}: {newest.phase} {newest.message}")
        for promotion in found.promotions:
            if promotion.release.commit.id == delivery.commit:
                for step in promotion.steps:
                    if step.phase != "pending":
                        timeline.say(step.environment, f"{step.phase} {step.message}")
                break
        return printable(found.progress.message) if found.progress.state == "moving" else ""

    found = api.wait_for(lambda: api.component(name, delivery.commit), why_not, max(0.0, deadline - api.clock()))
    timeline.say(found.progress.state, f"{found.progress.message} {found.progress.next}".strip())
    return found


def _not_begun(delivery: DeliveryView) -> str:
    if delivery.builds or not delivery.open:
        return ""
    return "the source is looked at" if delivery.outcome == "Accepted" else delivery.message or delivery.outcome
