"""What the statuses of one commit know: what is to be told, what has been told, and when to try again. Pure."""

from model.status_note import StatusNote
from model.value import State, Value

FIRST_WAIT_SECONDS = 5.0
MOST_WAIT_SECONDS = 300.0
REFUSED_FIRST_SECONDS = 60.0
REFUSED_MOST_SECONDS = 3600.0
GIVE_UP_SECONDS = 7 * 86_400.0
REFUSED_GIVE_UP_SECONDS = 3 * 86_400.0
# Longer than a note may be under way (see `statuses.tell` in the table of efforts): whoever has forgotten what was
# told last could otherwise put an old note in its place.
MEMORY_SECONDS = 26 * 3600.0
CONTEXTS_LIMIT = 500


class Waiting(Value):
    """A note that is still to be told. `refused`: how often the provider said no to it; `after`: not before then
    (seconds since the epoch); `since`: when it was tried first (0: not yet)."""

    note: StatusNote
    refused: int = 0
    after: float = 0
    since: float = 0


class Remote(Value):
    """What the provider calls the things that were made for a context."""

    status: str = ""
    deployment: str = ""


class StatusesState(State):
    """What a query of `statuses/<repository>/<commit>` answers. `told` holds the order of what was told last for
    each context; `failures` counts those in a row in which the provider was away."""

    repository: str
    commit: str
    waiting: dict[str, Waiting] = {}
    told: dict[str, int] = {}
    remotes: dict[str, Remote] = {}
    failures: int = 0
    away_since: float = 0
    after: float = 0
    last_heard: float = 0
    sent: int = 0
    overtaken: int = 0
    given_up: int = 0
    trouble: str = ""


def take(state: StatusesState, note: StatusNote, now: float) -> bool:
    """Take a note; False when a newer one of its context has been told or waits already, or it is this one."""
    state.last_heard = now
    key = note.key
    before = state.waiting.get(key)
    if note.order <= state.told.get(key, -1) or (before is not None and note.order <= before.note.order):
        return False
    if before is None and key not in state.told and len(state.told) + len(state.waiting) >= CONTEXTS_LIMIT:
        state.trouble = f"There are more than {CONTEXTS_LIMIT} contexts; {note.context} is not told."
        return False
    state.overtaken += before is not None
    # The provider's no to the older one may not hold for this one, and costs no more to hear again.
    state.waiting[key] = Waiting(note=note, since=before.since if before else 0)
    return True


def next_up(state: StatusesState, now: float) -> Waiting | None:
    """What is to be told now: the oldest that may be."""
    if state.after > now:
        return None
    ready = [each for each in state.waiting.values() if each.after <= now]
    return min(ready, key=lambda each: (each.note.order, each.note.key), default=None)


def wakes(state: StatusesState, now: float) -> float:
    """Seconds until there is something to do, or until everything is forgotten; at least 0."""
    if not state.waiting:
        return max(0.0, state.last_heard + MEMORY_SECONDS - now)
    return max(0.0, max(state.after, min(each.after for each in state.waiting.values())) - now)


def is_over(state: StatusesState, now: float) -> bool:
    """Whether nothing is left to tell, and nobody can tell anything old any more."""
    return not state.waiting and now >= state.last_heard + MEMORY_SECONDS


def sent(state: StatusesState, tried: Waiting, remote: Remote) -> None:
    """The provider has it. A newer one that came meanwhile goes on waiting."""
    key = tried.note.key
    state.told[key] = max(tried.note.order, state.told.get(key, -1))
    state.remotes[key] = remote
    state.failures, state.away_since, state.after, state.trouble = 0, 0, 0, ""
    state.sent += 1
    _drop(state, tried)


def away(state: StatusesState, why: str, asked: float | None, now: float, spread: float) -> bool:
    """The provider cannot be reached, or asks to wait (`asked`, seconds). False when it is given up.

    Args:
        state: is changed.
        why: for people.
        asked: how long the provider asks to wait; None when it does not.
        now: seconds since the epoch.
        spread: from 0 to 1, so that not all commits come back at once.
    """
    state.failures += 1
    state.away_since = state.away_since or now
    state.trouble = why
    wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(state.failures - 1, 20), MOST_WAIT_SECONDS)
    state.after = now + max(wait, asked or 0) * (1 + 0.2 * spread)
    if now - state.away_since < GIVE_UP_SECONDS:
        return True
    state.given_up += len(state.waiting)
    state.waiting.clear()
    return False


def refused(state: StatusesState, tried: Waiting, why: str, final: bool, now: float) -> bool:
    """The provider says no. Somebody may change the token, so that it is tried again now and then. False when it
    is given up; others are told all the same."""
    state.failures, state.away_since, state.after, state.trouble = 0, 0, 0, why
    since = tried.since or now
    if final or now - since >= REFUSED_GIVE_UP_SECONDS:
        key = tried.note.key
        # Neither it nor anything older is to come back.
        state.told[key] = max(tried.note.order, state.told.get(key, -1))
        state.given_up += 1
        _drop(state, tried)
        return False
    wait = min(REFUSED_FIRST_SECONDS * 2.0 ** min(tried.refused, 20), REFUSED_MOST_SECONDS)
    current = state.waiting.get(tried.note.key)
    if current is not None and current.note.order == tried.note.order:
        changed = {"refused": tried.refused + 1, "after": now + wait, "since": since}
        state.waiting[tried.note.key] = current.model_copy(update=changed)
    return True


def _drop(state: StatusesState, tried: Waiting) -> None:
    current = state.waiting.get(tried.note.key)
    if current is not None and current.note.order <= tried.note.order:
        del state.waiting[tried.note.key]
