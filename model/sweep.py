"""A look at a repository's refs for what nobody has announced, and what came of it."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.ledger import Handled, Missed
from model.push import ZERO_ID, Push
from model.ref_deleted import RefDeleted
from model.value import State, Value

SHOWN_LIMIT = 100
ATTEMPTS_LIMIT = 5
"""How often a head is tried again that was found and then not handled, say because credentials were wrong."""

Because = Literal["schedule", "duplicate", "many", "asked"]


class SweepRequest(Value):
    """Look at a repository (its normalised address), or only at some of its refs.

    `because`: it was time, a push was announced that had been dealt with before (`delivery` is the sender's id of
    the announcement, `before` where it says the ref was), one delivery told of too many refs, or a person asked.
    `sequence` as a push's; 0: take the time at which the look began. `after`: only refs whose names come after it.
    """

    repository: str
    refs: tuple[str, ...] = ()
    because: Because = "schedule"
    provider: str = ""
    delivery: str = ""
    before: str = ""
    after: str = ""
    sequence: int = 0
    actor: Actor = AUTOMATION


class SweepLook(Value):
    """What one look has found. `url` is what Git was given. `missed` and `gone` are to be seen to; `more` says
    that there are others still; `recorded` heads were only put down, since nobody follows them or the repository
    was seen for the first time. `reason` is why nothing was looked at, if so."""

    url: str = ""
    missed: tuple[Missed, ...] = ()
    gone: dict[str, Handled] = {}
    more: bool = False
    recorded: int = 0
    refs: int = 0
    reason: str = ""
    message: str = ""


class Redelivered(Value):
    """The deliveries that their sender was asked to repeat; `reason` is why its log was not read, if so."""

    deliveries: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""


class StandingQuestion(Value):
    """Ask how a workflow stands, and whether its head has been handled meanwhile."""

    workflow: str
    repository: str
    ref: str
    commit: str


Standing = Literal["open", "ended", "handled"]


class StandingAnswer(Value):
    """It is under way, it has ended without having handled the head, or the head is handled."""

    standing: Standing


class Swept(Value):
    """One thing that was found. `result`: `started`, `underway` (somebody is at it already), `handled` meanwhile,
    or `given-up` after too many attempts."""

    found: Literal["push", "deleted", "delivery"]
    subject: str
    commit: str = ""
    workflow: str = ""
    result: Literal["started", "underway", "handled", "given-up"]


class SweepState(State):
    """How far a sweep is, and its result. `outcome` is a stable reason: `NothingMissed`, `Found`, `KnownDelivery`,
    or why the repository could not be looked at."""

    request: SweepRequest
    outcome: str = "Looking"
    message: str = ""
    refs: int = 0
    recorded: int = 0
    started: int = 0
    found: list[Swept] = []


def push(request: SweepRequest, look: SweepLook, missed: Missed, sequence: int) -> Push:
    """The push that was missed, as its webhook would have told it."""
    since = missed.since.commit if missed.since else request.before
    return Push(
        cause="sweep",
        provider=request.provider,
        delivery=request.delivery,
        repository=request.repository,
        url=look.url,
        ref=missed.ref,
        before=since or ZERO_ID[:1] * len(missed.commit),
        after=missed.commit,
        sequence=sequence,
        actor=request.actor,
    )


def deletion(request: SweepRequest, look: SweepLook, ref: str, last: Handled, sequence: int) -> RefDeleted:
    """The deletion that was missed."""
    return RefDeleted(
        provider=request.provider,
        delivery=request.delivery,
        repository=request.repository,
        url=look.url,
        ref=ref,
        before=last.commit,
        sequence=sequence,
        actor=request.actor,
    )
