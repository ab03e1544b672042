"""Soaking: how long a release has been well where it came from."""

from model.rollout import Target
from model.value import Value


class SteadinessQuestion(Value):
    """Have this release's pods been well since `since` (seconds since the epoch)? `pods` is false for what
    keeps none running (a scheduled task, a workload scaled to nothing)."""

    target: Target
    digest: str
    since: float
    pods: bool = True


class Steadiness(Value):
    """`since` is the last restart or failed check, or what was asked about when there was none.

    `steady` is false when they are not well now, or nobody could tell.
    """

    steady: bool
    since: float
    reason: str = "Steady"
    message: str = ""


class Soak(Value):
    """One source environment's part of a soak: well since `since`, as known at `at`."""

    environment: str
    well: bool
    since: float = 0
    reason: str = "Soaking"
    message: str = ""
    at: float = 0
