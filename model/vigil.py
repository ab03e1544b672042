"""Watching on after a deployment was healthy, and the alarm when it no longer is."""

from model.release import Release
from model.rollout import Target
from model.sight import Memory
from model.value import Value
from model.verdict import Verdict


class VigilRequest(Value):
    """What a Vigil is started with: watch `revision` of a lane for `seconds`, one look each `interval_seconds`.

    `lane` is the workflow to alarm. `last_good` is the release before, for queries that compare with it as it
    was when the deployment began (`fence`: in ms since the epoch). `until` (seconds since the epoch) and
    `memory` are what a vigil that goes on in a new run knows already.
    """

    target: Target
    release: Release
    revision: int
    interval_seconds: float
    seconds: float
    lane: str
    last_good: Release | None = None
    fence: int = 0
    until: float = 0
    memory: Memory = Memory()


class Alarm(Value):
    """What was healthy is no longer. `id` makes it idempotent.

    The lane goes back when `revision` is still what runs there, and leaves it alone otherwise.
    """

    id: str
    revision: int
    verdict: Verdict
