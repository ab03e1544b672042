"""Deployments of a lane, one at a time: what comes next, what a beginning and an end change, as functions
over its state. No clocks: `now` is handed in (seconds). What promotions ask is in `lane_queue`, people's orders
in `lane_orders`, ways back in `lane_back`.

The rules of all four, in one place:
- a request or an order counts once, whatever its sender repeats;
- one deployment at a time; of those that wait, the newest release stays and older ones are superseded, but
  for pinned ones, which are deployed in their turn;
- automation never deploys an older release than the present one, nor one that the lane went back from;
- nobody deploys an older release than the last good one without a word, nor one that is marked bad;
- a hold stops automation, not people; going back by a person holds the lane;
- a rollback is not itself rolled back: when it fails the lane is held and says so;
- what is inconclusive is left running and holds the lane until a person decides.
"""

from model import lane_back
from model.actor import AUTOMATION
from model.lane import HISTORY_BYTES, HISTORY_KEPT, RULES, Hold, LaneRequest, LaneState, Order, Revision
from model.lane_answers import Notices, settled
from model.release import Release
from model.rollout import RolloutResult
from model.vigil import Alarm

Work = Order | LaneRequest | Alarm


def next_up(state: LaneState) -> Work | None:
    """What to do next: people first, then (when nothing holds) alarms, compensations, and what waits."""
    if state.orders:
        return state.orders[0]
    if state.hold is not None:
        return next((request for request in state.waiting if decides_hold(state, request)), None)
    if state.alarms:
        return state.alarms[0]
    return state.waiting[0] if state.waiting else None


def decides_hold(state: LaneState, request: LaneRequest) -> bool:
    """Whether a release set takes back the very revision that holds the lane since nobody can tell of it."""
    if request.kind != "restore" or state.hold is None or not state.hold.revision:
        return False
    return any(entry.number == state.hold.revision and entry.request == request.undo_of for entry in state.history)


def gives_way(state: LaneState) -> bool:
    """Whether what is under way must stop: for a person's order, or to be taken back by its release set."""
    coming = lane_back.under_way(state)
    if coming is None:
        return False
    undone = (request.undo_of for request in state.waiting if request.kind == "restore")
    return bool(state.orders) or (coming.request != "" and coming.request in undone)


def begin(state: LaneState, work: Work, now: float) -> Revision:
    """Take `work` off its queue and open its revision (after `settle`, which drops what leads nowhere)."""
    if isinstance(work, Order):
        state.orders.remove(work)
        assert work.release is not None  # noqa: S101  (orders are completed when they are taken)
        entry = _open(state, work.release, work.goes_back, now).model_copy(
            update={"restored": work.revision if work.goes_back else 0, "reason": work.reason, "actor": work.actor}
        )
    elif isinstance(work, Alarm):
        state.alarms.remove(work)
        target = lane_back.alarm_target(state, work)
        assert isinstance(target, Revision)  # noqa: S101
        no_longer_healthy(state, work)
        reason = f"revision {work.revision} is no longer healthy: {work.verdict.reason}: {work.verdict.message}"
        entry = _open(state, target.release, True, now).model_copy(
            update={"restored": target.number, "reason": reason[:500]}
        )
    elif work.kind == "restore":
        if decides_hold(state, work):
            state.hold = None
        state.waiting.remove(work)
        before = lane_back.restore_target(state, work)
        assert isinstance(before, Revision)  # noqa: S101
        entry = _open(state, before.release, True, now).model_copy(
            update={"restored": before.number, "reason": work.reason, "actor": work.actor}
        )
    else:
        state.waiting.remove(work)
        entry = _open(state, work.release, False, now).model_copy(
            update={"reason": work.reason, "actor": work.actor}
        )
    revision = entry.model_copy(update={"request": work.id})
    state.next_revision += 1
    state.deploying = revision.number
    _keep(state, [*state.history, revision])
    return revision


def finish(
    state: LaneState, revision: Revision, result: RolloutResult, now: float, back_to: Release | None = None
) -> Revision:
    """Close a revision: what runs now, what is good, and whether the lane must be held.

    `back_to` is the release that the rollout was told to go back to.
    """
    closed = revision.model_copy(
        update={
            "result": result.result,
            "verdict": result.verdict,
            "finished_at": now,
            "undoings": result.undoings,
        }
    )
    state.history = [closed if entry.number == closed.number else entry for entry in state.history]
    if closed.kind == "rollback" and not result.not_undone and result.result != "stuck":
        _forget_undoings(state, closed)
    state.deploying = 0
    if result.result == "healthy":
        state.current = closed.release
        bad = closed.release.name in state.bad
        state.last_good = lane_back.last_good(state) if bad else closed.release
    elif result.result == "rolled-back":
        state.current = back_to or state.last_good
    elif result.result != "untouched":
        state.current = closed.release
    verdict = result.rollback_verdict or result.verdict
    failed_back = result.result == "stuck" or (closed.kind == "rollback" and result.result == "failed")
    if failed_back:
        reason = f"going back failed: {verdict.reason}: {verdict.message}"
        state.hold = Hold(actor=closed.actor, reason=reason, since=now)
    elif result.not_undone:
        reason = f"revision {closed.number}: not undone: {'; '.join(result.not_undone)}"
        state.hold = Hold(actor=AUTOMATION, reason=reason[:1000], since=now)
    elif result.result == "inconclusive" and state.hold is None:
        reason = f"revision {closed.number} is inconclusive: {verdict.reason}: {verdict.message}"
        state.hold = Hold(actor=AUTOMATION, reason=reason, since=now, revision=closed.number)
    return closed


def _forget_undoings(state: LaneState, closed: Revision) -> None:
    """On the way back they were undone; going back once more has nothing left of them to undo."""
    state.history = [
        entry.model_copy(update={"undoings": ()})
        if entry.undoings and closed.restored < entry.number < closed.number
        else entry
        for entry in state.history
    ]


def settle_undecided(state: LaneState, closed: Revision, request: LaneRequest | None) -> Notices:
    """Answer for good whoever asked for what ran inconclusively, once `closed` has decided it; remember
    `request` when it is inconclusive in its turn."""
    before = state.undecided
    runs_now = state.current.name if state.current else ""
    undecided = closed.result == "inconclusive"
    if before is None or (undecided and before.release.name == runs_now):
        state.undecided = request if undecided and before is None else before
        return []
    state.undecided = request if undecided else None
    if before.release.name == runs_now and closed.result == "healthy":
        return [settled(before, "healthy", "Healthy", "It was deployed once more.", closed.number)]
    back = closed.kind == "rollback" or closed.result == "rolled-back"
    result, reason = ("rolled-back", "WentBack") if back else ("superseded", "NewerRelease")
    message = f"It was never found healthy; revision {closed.number} took its place."
    return [settled(before, result, reason, message, closed.number)]


def runs(state: LaneState, release: Release) -> bool:
    """Whether this release runs here, healthy, with nothing on its way in."""
    if state.deploying or state.current is None:
        return False
    if state.rules < RULES:
        return (
            state.last_good is not None
            and state.last_good.name == release.name
            and state.current == state.last_good
        )
    now = lane_back.present(state)
    if now is None:  # its revision is older than those that are kept
        return state.current.name == release.name and state.current == state.last_good
    return now.release.name == release.name and now.result == "healthy"


def renewed(state: LaneState) -> LaneState:
    """What a new run of the lane begins with."""
    return state.model_copy(update={"rules": RULES})


def no_longer_healthy(state: LaneState, alarm: Alarm) -> None:
    """An alarm is true: the revision is good no more, and automation does not bring its release in again."""
    entry = next(entry for entry in state.history if entry.number == alarm.revision)
    closed = entry.model_copy(update={"result": "unhealthy", "verdict": alarm.verdict})
    state.history = [closed if each.number == closed.number else each for each in state.history]
    state.last_good = lane_back.last_good(state)
    if entry.release.sequence > state.floor:
        state.floor, state.floor_reason = entry.release.sequence, "TurnedUnhealthy"


def revision_of(state: LaneState) -> int:
    """The newest healthy revision; 0 when there is none."""
    return next((entry.number for entry in reversed(state.history) if entry.result == "healthy"), 0)


def _open(state: LaneState, release: Release, going_back: bool, now: float) -> Revision:
    kind = "rollback" if going_back else "deploy"
    return Revision.model_validate(
        {"number": state.next_revision, "release": release, "kind": kind, "actor": AUTOMATION, "started_at": now}
    )


def _keep(state: LaneState, history: list[Revision]) -> None:
    """The newest revisions, as many as may be kept; a lane's state travels whole between its runs."""
    kept = history[-HISTORY_KEPT:]
    if state.rules >= RULES:
        size = 0
        for at, entry in enumerate(reversed(kept)):
            size += len(entry.model_dump_json())
            if size > HISTORY_BYTES and at:
                kept = kept[len(kept) - at :]
                break
    state.forgotten = max(state.forgotten, kept[0].number - 1)
    state.history = kept
