"""Ways back: to which revision a lane returns, for a person, for a release set, after an alarm.

Going back is to a healthy revision of another release that nobody has marked bad. A rollback stands for the
revision that it restored, so going back once more goes further back, never to what was just left.
"""

from collections.abc import Iterable
from typing import NamedTuple

from model.hook import Undoing
from model.lane import LaneRequest, LaneState, Revision
from model.release import Release
from model.vigil import Alarm

LEFT = frozenset({"rolled-back", "untouched"})
NOT_BEGUN = frozenset({"superseded", "refused"})
"""Results of orders that were given and never begun; a rollout's own results are others."""
NEVER_RAN = LEFT | NOT_BEGUN
"""Results of revisions whose release does not run when they have ended."""


class NothingToDo(NamedTuple):
    """Why there is no way, or no need, to go back: what to settle, a stable reason, a message."""

    result: str
    reason: str
    message: str


def under_way(state: LaneState) -> Revision | None:
    """The revision that is being deployed now."""
    return next((entry for entry in state.history if entry.number == state.deploying), None)


def present(state: LaneState) -> Revision | None:
    """The revision that runs, or is on its way in."""
    coming = under_way(state)
    if coming is not None or state.current is None:
        return coming
    name = state.current.name
    ran = (entry for entry in reversed(state.history) if entry.result not in NEVER_RAN)
    return next((entry for entry in ran if entry.release.name == name), None)


def good(state: LaneState) -> list[Revision]:
    """The healthy revisions to which one may go back, oldest first."""
    return [entry for entry in state.history if entry.result == "healthy" and entry.release.name not in state.bad]


def rollback_target(state: LaneState, revision: int) -> Revision | None:
    """Where a person's rollback goes: the revision named, or (0) the last good one before the present."""
    if revision:
        return next((entry for entry in good(state) if entry.number == revision), None)
    if state.rules < 2:
        now = under_way(state)
        release = now.release if now else state.current
        return _newest(entry for entry in good(state) if release is None or entry.release.name != release.name)
    now = present(state)
    return None if now is None else _before(state, now.restored or now.number, now.release)


def undo_target(state: LaneState) -> Revision | None:
    """What ran before the last change that somebody made: after a rollback, what it went back from."""
    now = present(state)
    return None if now is None else _before(state, now.number, now.release)


def taken_back_already(state: LaneState) -> Revision | None:
    """The last change, when the lane has taken it back by itself."""
    newest = next((entry for entry in reversed(state.history) if entry.result not in NOT_BEGUN), None)
    if newest is None:
        return None
    by_itself = newest.kind == "rollback" and newest.actor.kind == "automation" and newest.result == "healthy"
    return newest if newest.result == "rolled-back" or by_itself else None


def restore_target(state: LaneState, request: LaneRequest) -> Revision | NothingToDo | None:
    """Where a release set's compensation goes; None while what it takes back is still under way."""
    made = next((entry for entry in reversed(state.history) if entry.request == request.undo_of), None)
    if made is None:
        return NothingToDo("healthy", "NothingToUndo", "It changed nothing here.")
    if made.number == state.deploying:
        return None
    if made.result in NEVER_RAN:
        return NothingToDo("healthy", "AlreadyBack", f"Revision {made.number} was taken back already.")
    now = present(state)
    if now is None or now.number != made.number:
        moved = f"Revision {now.number} has taken the place of {made.number}." if now else "Nothing runs here."
        return NothingToDo("superseded", "MovedOn", moved)
    before = _before(state, made.number, made.release)
    if before is None:
        return NothingToDo("failed", "NothingToGoBackTo", f"Nothing good ran before revision {made.number}.")
    return before


def alarm_target(state: LaneState, alarm: Alarm) -> Revision | NothingToDo:
    """Where an alarm leads."""
    now = present(state)
    if now is None or now.number != alarm.revision:
        return NothingToDo("superseded", "MovedOn", f"Revision {alarm.revision} runs no longer.")
    before = _before(state, now.number, now.release)
    if before is None:
        return NothingToDo("failed", "NothingToGoBackTo", f"Nothing good ran before revision {now.number}.")
    return before


def last_good(state: LaneState) -> Release | None:
    """The release of the newest revision to which one may go back."""
    newest = _newest(good(state))
    return newest.release if newest else None


def undoings(state: LaneState, revision: Revision) -> tuple[Undoing, ...]:
    """The hooks to undo on the way back that `revision` is: of all after the one that it restores, last first."""
    if revision.kind != "rollback":
        return ()
    left = (entry for entry in reversed(state.history) if revision.restored < entry.number < revision.number)
    return tuple(undoing for entry in left for undoing in reversed(entry.undoings))


def _before(state: LaneState, number: int, release: Release) -> Revision | None:
    return _newest(entry for entry in good(state) if entry.number < number and entry.release.name != release.name)


def _newest(entries: Iterable[Revision]) -> Revision | None:
    return max(entries, key=lambda entry: entry.number, default=None)
