"""Every decision of a lane, as functions over its state. No clocks: `now` is handed in (seconds).

The rules, in one place:
- a request or an order counts once, whatever its sender repeats;
- one deployment at a time; of those that wait, the newest release stays and older ones are superseded;
- automation never deploys an older release than the present one, nor one that a person went back from;
- a hold stops automation, not people; going back by a person holds the lane;
- a rollback is not itself rolled back: when it fails the lane is held and says so.
"""

from model.lane import HISTORY_KEPT, IDS_KEPT, Answer, Hold, LaneRequest, LaneSettled, LaneState, Order, Revision
from model.release import Release
from model.rollout import RolloutResult

Notices = list[tuple[str, LaneSettled]]


def take_request(state: LaneState, request: LaneRequest) -> Notices:
    """Let a promotion's request into the state; returns what to tell which promotion (workflow id)."""
    if not _first_time(state, request.id):
        return []
    state.component, state.step = request.component, request.step
    if request.kind == "withdraw":
        state.candidates = [other for other in state.candidates if other.promotion != request.promotion]
        state.waiting = [other for other in state.waiting if other.promotion != request.promotion]
        return []
    if request.kind == "deploy":
        state.candidates = [other for other in state.candidates if other.promotion != request.promotion]
        if _runs(state, request.release):
            return [_settle(request, "healthy", "AlreadyRunning", "It already runs here.", _revision_of(state))]
    newer = _newer(state, request)
    if newer:
        return [_settle(request, "superseded", "NewerRelease", f"{newer} is newer and is here or on its way.")]
    if request.actor.kind == "automation" and request.release.sequence <= state.floor:
        message = "A person went back from this release; automation does not bring it in again."
        return [_settle(request, "refused", "RolledBackByPerson", message)]
    notices = _supersede_older(state, request)
    if request.kind == "candidate":
        state.candidates.append(request)
        return notices
    state.waiting.append(request)
    if state.hold:
        notices.append(_settle(request, "held", "LaneHeld", hold_message(state.hold)))
    return notices


def cancel_all(state: LaneState) -> Notices:
    """Take every request off the lane, which is about to end; returns what to tell their promotions."""
    requests = [*state.candidates, *state.waiting]
    state.candidates, state.waiting, state.orders = [], [], []
    return [_settle(request, "cancelled", "ComponentGone", "The component was deleted.") for request in requests]


def hold_message(hold: Hold) -> str:
    """Why automation waits, and what lets it go on."""
    return f"Held by {hold.actor.name}: {hold.reason or 'no reason given'}. `towpath resume` lets it go on."


def refuse_order(state: LaneState, order: Order) -> Answer | None:
    """Why a person's order cannot be followed, or None when it can. Reads only."""
    if order.id in state.recent:
        return None
    if order.kind == "resume" and state.hold is None:
        return _no("NotHeld", "The lane is not held.")
    if order.kind == "rollback":
        return _refuse_rollback(state, order)
    if order.kind == "deploy":
        if order.release is None or state.step is None:
            return _no("ReleaseMissing", "Name the release to deploy.")
        if state.step.policy.approvals and not _was_healthy(state, order.release):
            return _no("ApprovalNeeded", "This environment asks for approval; use `towpath promote` instead.")
        if _runs(state, order.release):
            return _no("AlreadyRunning", f"{order.release.name} already runs here.")
    return None


def take_order(state: LaneState, order: Order, now: float) -> Answer:
    """Let a person's order into the state (after `refuse_order` had nothing against it)."""
    if not _first_time(state, order.id):
        return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
    if order.kind == "hold":
        state.hold = Hold(actor=order.actor, reason=order.reason, since=now)
        return Answer(accepted=True, reason="Held", message=hold_message(state.hold))
    if order.kind == "resume":
        state.hold = None
        return Answer(accepted=True, reason="Resumed", message="Automation goes on.")
    if order.kind == "deploy":
        state.orders.append(order)
        return Answer(accepted=True, reason="Deploying", message="It is deployed next.")
    target = rollback_target(state, order.revision)
    assert target is not None  # noqa: S101  (refuse_order has found it)
    reason = f"rolled back to revision {target.number}" + (f": {order.reason}" if order.reason else "")
    state.hold = Hold(actor=order.actor, reason=reason, since=now)
    gone_from = [release.sequence for release in (state.current, _deploying(state)) if release]
    state.floor = max([state.floor, *gone_from])
    state.orders.append(order.model_copy(update={"revision": target.number, "release": target.release}))
    return Answer(
        accepted=True,
        reason="RollingBack",
        message=f"Going back to revision {target.number} ({target.release.name}); automation is held.",
        revision=target.number,
    )


def rollback_target(state: LaneState, revision: int) -> Revision | None:
    """The revision to go back to: the one named, or (0) the newest healthy one of another release."""
    good = [entry for entry in state.history if entry.result == "healthy"]
    if revision:
        return next((entry for entry in good if entry.number == revision), None)
    present = _deploying(state) or state.current
    others = [entry for entry in good if present is None or entry.release.name != present.name]
    return others[-1] if others else None


def next_up(state: LaneState) -> Order | LaneRequest | None:
    """What to do next: people first, then (when nothing holds) what waits."""
    if state.orders:
        return state.orders[0]
    if state.hold is None and state.waiting:
        return state.waiting[0]
    return None


def begin(state: LaneState, work: Order | LaneRequest, now: float) -> Revision:
    """Take `work` off its queue and open its revision."""
    if isinstance(work, Order):
        state.orders.remove(work)
    else:
        state.waiting.remove(work)
    assert work.release is not None  # noqa: S101  (orders are completed when they are taken)
    going_back = isinstance(work, Order) and work.kind == "rollback"
    revision = Revision(
        number=state.next_revision,
        release=work.release,
        kind="rollback" if going_back else "deploy",
        actor=work.actor,
        reason=work.reason,
        started_at=now,
        restored=work.revision if isinstance(work, Order) and going_back else 0,
    )
    state.next_revision += 1
    state.deploying = revision.number
    state.history = [*state.history, revision][-HISTORY_KEPT:]
    return revision


def finish(state: LaneState, revision: Revision, result: RolloutResult, now: float) -> Revision:
    """Close a revision: what runs now, what is good, and whether the lane must be held."""
    closed = revision.model_copy(update={"result": result.result, "verdict": result.verdict, "finished_at": now})
    state.history = [closed if entry.number == closed.number else entry for entry in state.history]
    state.deploying = 0
    if result.result == "healthy":
        state.current = state.last_good = closed.release
    elif result.result == "rolled-back":
        state.current = state.last_good
    else:
        state.current = closed.release
    failed_back = result.result == "stuck" or (closed.kind == "rollback" and result.result == "failed")
    if failed_back:
        verdict = result.rollback_verdict or result.verdict
        state.hold = Hold(
            actor=closed.actor, reason=f"going back failed: {verdict.reason}: {verdict.message}", since=now
        )
    return closed


def _first_time(state: LaneState, request: str) -> bool:
    if request in state.recent:
        return False
    state.recent = [*state.recent, request][-IDS_KEPT:]
    return True


def _deploying(state: LaneState) -> Release | None:
    return next((entry.release for entry in state.history if entry.number == state.deploying), None)


def _runs(state: LaneState, release: Release) -> bool:
    good = state.last_good is not None and state.last_good.name == release.name
    return good and not state.deploying and state.current == state.last_good


def _was_healthy(state: LaneState, release: Release) -> bool:
    return any(entry.release.name == release.name and entry.result == "healthy" for entry in state.history)


def _revision_of(state: LaneState) -> int:
    return next((entry.number for entry in reversed(state.history) if entry.result == "healthy"), 0)


def _newer(state: LaneState, request: LaneRequest) -> str:
    """The name of a newer release that is here or on its way; a person may go past it on purpose."""
    if request.actor.kind == "person":
        return ""
    rivals = [other.release for other in (*state.waiting, *state.candidates) if other.kind == request.kind]
    rivals += [release for release in (state.current, _deploying(state)) if release is not None]
    newer = [rival for rival in rivals if rival.sequence > request.release.sequence]
    return newer[0].name if newer else ""


def _supersede_older(state: LaneState, request: LaneRequest) -> Notices:
    older = [
        other
        for other in (*state.candidates, *state.waiting)
        if other.release.sequence <= request.release.sequence and other.promotion != request.promotion
    ]
    gone = {other.id for other in older}
    state.candidates = [other for other in state.candidates if other.id not in gone]
    state.waiting = [other for other in state.waiting if other.id not in gone]
    message = f"{request.release.name} is newer and has come as far."
    return [_settle(other, "superseded", "NewerRelease", message) for other in older]


def _refuse_rollback(state: LaneState, order: Order) -> Answer | None:
    target = rollback_target(state, order.revision)
    if target is None:
        known = ", ".join(str(entry.number) for entry in state.history if entry.result == "healthy") or "none"
        wanted = f"Revision {order.revision}" if order.revision else "An earlier release"
        return _no("NothingToGoBackTo", f"{wanted} was never healthy here; healthy revisions: {known}.")
    if _runs(state, target.release):
        return _no("AlreadyRunning", f"{target.release.name} (revision {target.number}) already runs here.")
    return None


def _no(reason: str, message: str) -> Answer:
    return Answer(accepted=False, reason=reason, message=message)


def _settle(
    request: LaneRequest, result: str, reason: str, message: str, revision: int = 0
) -> tuple[str, LaneSettled]:
    settled = LaneSettled.model_validate(
        {
            "request": request.id,
            "environment": request.step.environment,
            "result": result,
            "reason": reason,
            "message": message,
            "revision": revision,
            "traceparent": request.traceparent,
        }
    )
    return request.promotion, settled
