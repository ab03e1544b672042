"""What was handled of every ref of a repository: the memory that outlives Temporal's.

An entry says: what lay between `base` and `commit` was looked at, and whatever it touched is being built or has
been. A push is then asked for what has changed since `commit`, not since what it says was before it, so that what
an announcement that was lost would have brought is not lost. An entry changes only by those who have read it
(`since`): a slow one that has read an older entry is refused, looks again, and finds less to do or nothing.
"""

from collections.abc import Mapping

from model.value import State, Value

REFS_KEPT = 5000
CHARACTERS_KEPT = 1_000_000
DELIVERIES_KEPT = 500
_OVERHEAD = 120


class Handled(Value):
    """The head of a ref that was handled last.

    `base` is from where on everything up to `commit` was considered, empty for everything there is. `number`
    counts the repository's records and tells one entry of a ref from the next. `sequence` is that of the push,
    `delivery` the sender's id of it, `at` seconds since the epoch by the workflow's clock.
    """

    commit: str
    base: str = ""
    number: int = 0
    sequence: int = 0
    delivery: str = ""
    at: float = 0


class Handling(Value):
    """Say that a head has been handled, by whoever has read the entry of this number (`since`; 0: there was
    none)."""

    ref: str
    commit: str
    base: str = ""
    since: int = 0
    sequence: int = 0
    delivery: str = ""


class Recording(Value):
    """Several at once. `swept`: this comes of a sweep that has seen every ref. `forget`: refs that are gone, each
    with the number of its entry as it was read."""

    handlings: tuple[Handling, ...] = ()
    forget: dict[str, int] = {}
    swept: bool = False


class LedgerQuestion(Value):
    """Ask for refs of a repository, and whether one delivery is known."""

    repository: str
    refs: tuple[str, ...] = ()
    delivery: str = ""


class LedgerAnswer(Value):
    """What is known of the refs that were asked for. `swept`: every ref of the repository was seen once."""

    refs: dict[str, Handled] = {}
    swept: bool = False
    delivered: bool = False


class LedgerState(State):
    """All of it. `refs` in the order in which they were touched, the oldest first; `writes` counts all records,
    `forgotten` the refs that went to make room."""

    repository: str
    refs: dict[str, Handled] = {}
    deliveries: list[str] = []
    writes: int = 0
    forgotten: int = 0
    swept: bool = False


def answer(state: LedgerState, question: LedgerQuestion) -> LedgerAnswer:
    """What is known of what is asked for."""
    return LedgerAnswer(
        refs={ref: state.refs[ref] for ref in question.refs if ref in state.refs},
        swept=state.swept,
        delivered=bool(question.delivery) and question.delivery in state.deliveries,
    )


def record(state: LedgerState, recording: Recording, now: float) -> int:
    """Take in what is said, as far as it was said of the present entries. How many refs went to make room."""
    state.swept = state.swept or recording.swept
    for handling in recording.handlings:
        _handled(state, handling, now)
    for ref, number in recording.forget.items():
        if ref in state.refs and state.refs[ref].number == number:
            del state.refs[ref]
    forgotten = _make_room(state)
    state.forgotten += forgotten
    return forgotten


def _handled(state: LedgerState, handling: Handling, now: float) -> None:
    if handling.delivery and handling.delivery not in state.deliveries:
        state.deliveries = [*state.deliveries, handling.delivery][-DELIVERIES_KEPT:]
    present = state.refs.get(handling.ref)
    if (present.number if present else 0) != handling.since:
        return
    state.writes += 1
    state.refs.pop(handling.ref, None)
    state.refs[handling.ref] = Handled(
        commit=handling.commit,
        base=handling.base,
        number=state.writes,
        sequence=max(handling.sequence, present.sequence if present else 0),
        delivery=handling.delivery,
        at=now,
    )


def _make_room(state: LedgerState) -> int:
    sizes = {ref: len(ref) + len(entry.delivery) + _OVERHEAD for ref, entry in state.refs.items()}
    too_many, too_much = len(sizes) - REFS_KEPT, sum(sizes.values()) - CHARACTERS_KEPT
    forgotten = 0
    for ref, size in sizes.items():
        if too_many <= 0 and too_much <= 0:
            break
        del state.refs[ref]
        too_many, too_much, forgotten = too_many - 1, too_much - size, forgotten + 1
    return forgotten


class Missed(Value):
    """A ref whose head is not the one that was handled. `since` is what was, if anything."""

    ref: str
    commit: str
    since: Handled | None = None


class Comparison(Value):
    """What a look at a repository's refs has found. `gone` maps refs to their entries."""

    missed: tuple[Missed, ...] = ()
    gone: dict[str, Handled] = {}


def compare(known: Mapping[str, Handled], heads: Mapping[str, str], asked: tuple[str, ...] = ()) -> Comparison:
    """Heads that were not handled, and handled refs that are gone; of all refs, or of those `asked` for."""
    wanted = set(asked)
    missed = tuple(
        Missed(ref=ref, commit=commit, since=known.get(ref))
        for ref, commit in sorted(heads.items())
        if (not wanted or ref in wanted) and (ref not in known or known[ref].commit != commit)
    )
    gone = {
        ref: entry for ref, entry in sorted(known.items()) if ref not in heads and (not wanted or ref in wanted)
    }
    return Comparison(missed=missed, gone=gone)
