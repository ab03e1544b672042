"""What waits to be sent to one subscriber, as a state and its changes.

Events of one subject are sent one after the other, in the order in which they came; one that cannot be delivered
holds up only its own subject. What is not delivered within a day is given up, and counted.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from model.cloudevent import CloudEvent
from model.subscription import SubscriptionKey
from model.value import State, Value

KEPT_SECONDS = 86_400.0
WAITING_LIMIT = 500
RECENT_LIMIT = 1000
BATCH_SUBJECTS = 20
BATCH_EVENTS = 5
REFUSED_LIMIT = 5
"""How often an event is sent whose content the sink refuses."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
ERROR_LIMIT = 300


class Waiting(Value):
    """An event and when it was put in (seconds since the epoch)."""

    event: CloudEvent
    since: float


class Line(State):
    """The events of one subject that wait. After `failures` in a row nothing is sent before `next_at`."""

    waiting: list[Waiting] = []
    failures: int = 0
    refusals: int = 0
    next_at: float = 0


class OutboxState(State):
    """All that waits for one subscriber; `recent` are ids of what was put in, so that twice is once."""

    subscription: SubscriptionKey
    lines: dict[str, Line] = {}
    recent: list[str] = []
    delivered: int = 0
    dropped: int = 0
    failing_since: float = 0
    error: str = ""


class Batch(Value):
    """What is sent at once: events by subject, in order. The counts and the trouble so far are for the status."""

    subscription: SubscriptionKey
    events: tuple[tuple[CloudEvent, ...], ...]
    waiting: int = 0
    dropped: int = 0
    failing_since: float = 0


class Trouble(Value):
    """Why a subject's event was not delivered. `refused`: the sink does not want its content, so that sending it
    again is of little use; `retry_after` in seconds, as the sink asks."""

    subject: str
    message: str
    refused: bool = False
    retry_after: float = Field(default=0, ge=0, le=3600)


class Sent(Value):
    """What came of a batch. `gone`: nobody subscribes any more, or the sink says so for good."""

    delivered: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    gone: bool = False


Outcome = Literal["delivered", "retried", "refused", "expired", "overflowed"]
Counts = dict[Outcome, int]


def size(state: OutboxState) -> int:
    """How many events wait."""
    return sum(len(line.waiting) for line in state.lines.values())


def put(state: OutboxState, events: Iterable[CloudEvent], now: float) -> Counts:
    """Take events in, each id once. Above the limit the oldest of the longest line makes room."""
    counts: Counts = {}
    for event in events:
        if event.id in state.recent:
            continue
        state.recent.append(event.id)
        state.lines.setdefault(event.subject, Line()).waiting.append(Waiting(event=event, since=now))
        if size(state) > WAITING_LIMIT:
            longest = max(state.lines.values(), key=lambda line: len(line.waiting))
            longest.waiting.pop(0)
            _count(counts, "overflowed", 1)
    del state.recent[:-RECENT_LIMIT]
    _tidy(state)
    state.dropped += counts.get("overflowed", 0)
    return counts


def expire(state: OutboxState, now: float) -> Counts:
    """Give up what has waited for a day."""
    counts: Counts = {}
    for line in state.lines.values():
        while line.waiting and line.waiting[0].since <= now - KEPT_SECONDS:
            line.waiting.pop(0)
            line.refusals = 0
            _count(counts, "expired", 1)
    _tidy(state)
    state.dropped += counts.get("expired", 0)
    return counts


def due(state: OutboxState, now: float) -> Batch | None:
    """What may be sent now; None when that is nothing. Who has waited longest comes first."""
    ready = sorted(
        (line for line in state.lines.values() if line.waiting and line.next_at <= now),
        key=lambda line: (line.next_at, line.waiting[0].since),
    )[:BATCH_SUBJECTS]
    if not ready:
        return None
    # A line in trouble is tried with one event.
    chosen = (line.waiting[: 1 if line.failures else BATCH_EVENTS] for line in ready)
    return Batch(
        subscription=state.subscription,
        events=tuple(tuple(each.event for each in waiting) for waiting in chosen),
        waiting=size(state),
        dropped=state.dropped,
        failing_since=state.failing_since,
    )


def settle(state: OutboxState, batch: Batch, sent: Sent, now: float) -> Counts:
    """Take off what was delivered, and let the rest wait the longer the more often it failed."""
    counts: Counts = {}
    delivered = set(sent.delivered)
    troubles = {trouble.subject: trouble for trouble in sent.troubles}
    for subject in dict.fromkeys(events[0].subject for events in batch.events):
        line = state.lines.get(subject)
        if line is None:
            continue
        before = len(line.waiting)
        line.waiting = [each for each in line.waiting if each.event.id not in delivered]
        if done := before - len(line.waiting):
            line.failures = line.refusals = 0
            line.next_at = 0
            _count(counts, "delivered", done)
        if subject in troubles:
            _hold_up(line, troubles[subject], now, counts)
    state.delivered += counts.get("delivered", 0)
    state.dropped += counts.get("refused", 0)
    state.error = sent.troubles[0].message[:ERROR_LIMIT] if sent.troubles else ""
    state.failing_since = (state.failing_since or now) if sent.troubles else 0
    _tidy(state)
    return counts


def wake_at(state: OutboxState) -> float | None:
    """When something can be sent or has to be given up; None while nothing waits."""
    moments = [min(moment) for moment in map(_moments, state.lines.values()) if moment]
    return min(moments) if moments else None


def pause(failures: int) -> float:
    """Seconds before the next try after so many failures in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 20)))


def _hold_up(line: Line, trouble: Trouble, now: float, counts: Counts) -> None:
    line.failures += 1
    line.refusals = line.refusals + 1 if trouble.refused else 0
    line.next_at = now + max(pause(line.failures), trouble.retry_after)
    if line.refusals >= REFUSED_LIMIT and line.waiting:
        # What the sink will never take must not hold up what comes after it.
        line.waiting.pop(0)
        line.refusals = line.failures = 0
        line.next_at = 0
        _count(counts, "refused", 1)
        return
    _count(counts, "retried", 1)


def _moments(line: Line) -> list[float]:
    return [line.next_at, line.waiting[0].since + KEPT_SECONDS] if line.waiting else []


def _tidy(state: OutboxState) -> None:
    for subject in [subject for subject, line in state.lines.items() if not line.waiting]:
        del state.lines[subject]


def _count(counts: Counts, outcome: Outcome, number: int) -> None:
    counts[outcome] = counts.get(outcome, 0) + number
