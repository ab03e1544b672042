"""Steering a release that is on its way: what a person may say, and what it waits for."""

from typing import Literal

from model.actor import Actor
from model.value import Value

IDS_KEPT = 200


class Steer(Value):
    """A person's word to a rollout, sent as an update; `id` makes it idempotent.

    `proceed`: on to the next step, whether it waits for a person or for time. `abort`: back to what ran
    before, at once.
    """

    id: str
    kind: Literal["proceed", "abort"]
    actor: Actor
    reason: str = ""
    proof: str = ""


class Pause(Value):
    """Why a rollout does not go on just now: the stop (from 1), how many there are, its weight in percent.

    `until` is when it goes on (or gives up) by itself, in seconds since the epoch; 0 is never.
    """

    stop: int
    stops: int
    weight: int
    reason: Literal["PausedForPerson", "PausedForTime", "Inconclusive"]
    message: str
    until: float = 0


class Paused(Value):
    """What a rollout tells its lane: that it waits (why), or that it goes on (None)."""

    revision: int
    pause: Pause | None = None


class Standing(Value):
    """How far a rollout is: in words, and what it waits for (None: it does not wait)."""

    release: str
    revision: int
    message: str
    pause: Pause | None = None


def refusal(kind: str, open_to_steering: bool, pause: Pause | None) -> tuple[str, str] | None:
    """Why a person's word cannot be followed now, as reason and message; None when it can."""
    if not open_to_steering:
        return (
            "NotSteerable",
            "Nothing can be steered here: no canary or blue-green deployment is under way. "
            "`towpath rollback` goes back from what runs.",
        )
    if kind == "proceed" and pause is None:
        return "NotWaiting", "It does not wait now: it comes up or is verified. See `towpath status`."
    return None
