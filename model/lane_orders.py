"""What a lane does with people's orders: what stands against one, and what it changes. No clocks, as in
`lane_rules`."""

from model import lane_back
from model.lane import BAD_KEPT, RULES, Answer, Hold, LaneRequest, LaneState, Order, Revision
from model.lane_answers import Notices, first_time, hold_message, settled
from model.lane_queue import older_message, older_than, overtake
from model.lane_rules import runs
from model.mark import bad_message
from model.release import Release
from model.verdict import Verdict

ALREADY = Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")


def refuse_order(state: LaneState, order: Order) -> Answer | None:
    """Why a person's order cannot be followed, or None when it can. Reads only."""
    if order.id in state.recent:
        return None
    if order.kind == "resume" and state.hold is None:
        return _no("NotHeld", "The lane is not held.")
    if order.kind == "accept":
        return _refuse_accept(state)
    if order.kind in ("pin", "unpin") and not _pinned(state, order):
        waiting = ", ".join(request.release.name for request in _queue(state)) or "nothing"
        return _no("NotWaiting", f"No such release waits here; waiting: {waiting}.")
    if order.kind in ("mark-bad", "mark-good") and order.release is None:
        return _no("ReleaseMissing", "Name the release to mark.")
    if order.goes_back:
        return _refuse_return(state, order)
    return _refuse_deploy(state, order) if order.kind == "deploy" else None


def take_order(state: LaneState, order: Order, now: float) -> tuple[Answer, Notices]:
    """Let a person's order into the state (after `refuse_order` had nothing against it); what to answer, and
    what to tell which promotion."""
    if not first_time(state, order.id):
        return ALREADY, []
    if order.kind == "hold":
        state.hold = Hold(actor=order.actor, reason=order.reason, since=now)
        return _yes("Held", hold_message(state.hold)), []
    if order.kind == "resume":
        state.hold = None
        return _yes("Resumed", "Automation goes on."), []
    if order.kind == "accept":
        return _accept(state, order)
    if order.kind in ("pin", "unpin"):
        return _pin(state, order)
    if order.kind in ("mark-bad", "mark-good"):
        return _mark(state, order), []
    if order.kind == "deploy":
        _instead(state, order, now)
        return _yes("Deploying", "It is deployed next."), []
    return _go_back(state, order, now), []


def leave_out(state: LaneState, order: Order, result: str, now: float, verdict: Verdict | None = None) -> Revision:
    """Take an order off the queue that does not come to be; the history keeps that it was given."""
    state.orders.remove(order)
    assert order.release is not None  # noqa: S101  (orders are completed when they are taken)
    closed = Revision(
        number=state.next_revision,
        release=order.release,
        kind="rollback" if order.goes_back else "deploy",
        actor=order.actor,
        reason=order.reason,
        result=result,
        verdict=verdict,
        started_at=now,
        finished_at=now,
        request=order.id,
    )
    state.next_revision += 1
    state.history = [*state.history, closed]
    return closed


def return_target(state: LaneState, order: Order) -> Revision | None:
    """The revision that a rollback or an undo leads to."""
    return (
        lane_back.undo_target(state) if order.kind == "undo" else lane_back.rollback_target(state, order.revision)
    )


def _go_back(state: LaneState, order: Order, now: float) -> Answer:
    target = return_target(state, order)
    assert target is not None  # noqa: S101  (refuse_order has found it)
    word = "undone: back" if order.kind == "undo" else "rolled back"
    reason = f"{word} to revision {target.number}" + (f": {order.reason}" if order.reason else "")
    state.hold = Hold(actor=order.actor, reason=reason, since=now)
    coming = lane_back.under_way(state)
    gone_from = [release.sequence for release in (state.current, coming.release if coming else None) if release]
    if state.rules < RULES or max(gone_from, default=0) > state.floor:
        state.floor, state.floor_reason = max([state.floor, *gone_from]), "RolledBackByPerson"
    _instead(state, order.model_copy(update={"revision": target.number, "release": target.release}), now)
    return Answer(
        accepted=True,
        reason="RollingBack",
        message=f"Going back to revision {target.number} ({target.release.name}); automation is held.",
        revision=target.number,
    )


def _instead(state: LaneState, order: Order, now: float) -> None:
    """Put an order next; one that has not begun gives way to it, and stays in the history as what was asked."""
    if state.rules >= RULES:
        for other in tuple(state.orders):
            leave_out(state, other, "superseded", now)
    state.orders.append(order)


def _accept(state: LaneState, order: Order) -> tuple[Answer, Notices]:
    entry = _inconclusive(state)
    assert entry is not None  # noqa: S101  (refuse_order has found it)
    taken = entry.model_copy(update={"result": "healthy", "accepted_by": order.actor.name})
    state.history = [taken if each.number == taken.number else each for each in state.history]
    state.last_good = taken.release
    if state.hold is not None and state.hold.revision == taken.number:
        state.hold = None
    message = f"{order.actor.name} took revision {taken.number} as healthy" + (
        f": {order.reason}" if order.reason else "."
    )
    notices: Notices = []
    if state.undecided is not None and state.undecided.release.name == taken.release.name:
        notices = [settled(state.undecided, "healthy", "Accepted", message, taken.number)]
        state.undecided = None
    return _yes("Accepted", f"Revision {taken.number} counts as healthy.", taken.number), notices


def _pin(state: LaneState, order: Order) -> tuple[Answer, Notices]:
    chosen = {request.id for request in _pinned(state, order)}
    pinned = order.kind == "pin"

    def changed(requests: list[LaneRequest]) -> list[LaneRequest]:
        return [each.model_copy(update={"pinned": pinned}) if each.id in chosen else each for each in requests]

    state.candidates, state.waiting = changed(state.candidates), changed(state.waiting)
    if pinned:
        return _yes("Pinned", "It stays queued and is deployed in its turn, whatever comes after it."), []
    return _yes("Unpinned", "A newer release takes its place again."), overtake(state, chosen)


def _mark(state: LaneState, order: Order) -> Answer:
    release = order.release
    assert release is not None  # noqa: S101  (refuse_order has looked)
    now = lane_back.present(state)
    here = now is not None and now.release.name == release.name
    if order.kind == "mark-good":
        state.bad.pop(release.name, None)
        state.last_good = _good_again(state)
        return _yes("MarkedGood", f"{release.name} may be brought in again.")
    state.bad = dict([*state.bad.items(), (release.name, order.reason)][-BAD_KEPT:])
    if state.last_good is not None and state.last_good.name == release.name:
        state.last_good = lane_back.last_good(state)
    where = " It runs here, or is on its way in: `towpath rollback` takes it back." if here else ""
    return _yes("MarkedBad", f"{release.name} is not brought in any more.{where}")


def _good_again(state: LaneState) -> Release | None:
    return lane_back.last_good(state) or state.last_good


def _refuse_return(state: LaneState, order: Order) -> Answer | None:
    if order.kind == "undo":
        taken = lane_back.taken_back_already(state)
        if taken is not None:
            message = f"The last change was taken back by itself (revision {taken.number}); "
            return _no("AlreadyTakenBack", message + "`towpath rollback` goes further.")
    target = return_target(state, order)
    if target is None:
        named = next((entry for entry in state.history if order.revision and entry.number == order.revision), None)
        if named is not None and named.release.name in state.bad:
            name = named.release.name
            return _no("ReleaseMarkedBad", bad_message(name, state.bad[name]))
        known = ", ".join(str(entry.number) for entry in lane_back.good(state)) or "none"
        wanted = f"Revision {order.revision}" if order.revision else "An earlier release"
        kept = f" Revisions up to {state.forgotten} are no longer kept." if state.forgotten else ""
        return _no("NothingToGoBackTo", f"{wanted} was never healthy here; healthy revisions: {known}.{kept}")
    if runs(state, target.release):
        return _no("AlreadyRunning", f"{target.release.name} (revision {target.number}) already runs here.")
    return None


def _refuse_accept(state: LaneState) -> Answer | None:
    entry = _inconclusive(state)
    if entry is None:
        return _no("NothingToAccept", "What runs here is not inconclusive.")
    name = entry.release.name
    return _no("ReleaseMarkedBad", bad_message(name, state.bad[name])) if name in state.bad else None


def _refuse_deploy(state: LaneState, order: Order) -> Answer | None:
    release = order.release
    if release is None or state.step is None:
        return _no("ReleaseMissing", "Name the release to deploy.")
    if release.name in state.bad:
        return _no("ReleaseMarkedBad", bad_message(release.name, state.bad[release.name]))
    if state.step.policy.gated and not _was_healthy(state, release):
        return _no("ApprovalNeeded", "This environment has a gate; use `towpath promote` instead.")
    if runs(state, release):
        return _no("AlreadyRunning", f"{release.name} already runs here.")
    newer = older_than(state, release, person=True)
    if newer is not None and not order.allow_older:
        return _no("OlderThanLastGood", older_message(release, newer))
    return None


def _was_healthy(state: LaneState, release: Release) -> bool:
    return any(entry.release.name == release.name and entry.result == "healthy" for entry in state.history)


def _inconclusive(state: LaneState) -> Revision | None:
    """What runs here unproven."""
    now = lane_back.present(state)
    return now if now is not None and now.result == "inconclusive" and not state.deploying else None


def _queue(state: LaneState) -> list[LaneRequest]:
    return [request for request in (*state.candidates, *state.waiting) if request.kind != "restore"]


def _pinned(state: LaneState, order: Order) -> list[LaneRequest]:
    """The waiting requests that a pin is for: of the named release, or of all."""
    name = order.release.name if order.release else ""
    return [request for request in _queue(state) if name in ("", request.release.name)]


def _yes(reason: str, message: str, revision: int = 0) -> Answer:
    return Answer(accepted=True, reason=reason, message=message, revision=revision)


def _no(reason: str, message: str) -> Answer:
    return Answer(accepted=False, reason=reason, message=message)
