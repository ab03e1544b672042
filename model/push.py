"""A ref has moved, or nothing has: what a sender announced, free of the sender's dialect."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.key import ComponentKey
from model.value import Value

ZERO_ID = "0" * 40


class Push(Value):
    """A ref of a repository moved (or was asked to be looked at).

    `repository` is the normalised address (see `model.repository.normalise`), `ref` a full ref name,
    `before`/`after` commit ids (`""` when unknown, all zeros when absent), `sequence` milliseconds since
    the epoch at which the push was accepted: the order among pushes of one branch. `components` limits
    the delivery to these (applied manifests, manual triggers, and schedules, whose `sequence` is 0: then the
    moment counts at which they start); empty means all that match.
    `declared_in` is the API version of the object that was applied. `priority` is how urgent its builds are,
    where whoever asked for them has said so (see `model.priority`).
    """

    cause: Literal["push", "applied", "trigger", "sweep", "schedule"] = "push"
    provider: str = ""
    delivery: str = ""
    repository: str
    url: str
    ref: str
    before: str = ""
    after: str = ""
    forced: bool = False
    sequence: int = 0
    actor: Actor = AUTOMATION
    components: tuple[ComponentKey, ...] = ()
    declared_in: str = ""
    priority: str = ""


class Ping(Value):
    """The sender asked whether we are there; nothing is started."""

    provider: str
    delivery: str = ""


class Ignored(Value):
    """A verified event that starts nothing, and why (a stable reason and a message)."""

    provider: str
    delivery: str = ""
    reason: str
    message: str
