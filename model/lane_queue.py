"""The queue of a lane: what it does with what promotions ask of it, as functions over its state. No clocks:
`now` is handed in (seconds). What is deployed is in `lane_rules`, people's orders in `lane_orders`.
"""

from model import lane_back
from model.actor import AUTOMATION
from model.lane import QUEUE_KEPT, RULES, Hold, LaneRequest, LaneSettled, LaneState
from model.lane_answers import Notices, first_time, hold_message, settled
from model.lane_back import NothingToDo
from model.lane_rules import decides_hold, no_longer_healthy, revision_of, runs
from model.mark import bad_message
from model.release import Release
from model.vigil import Alarm

_FLOOR = {
    "RolledBackByPerson": "A person went back from this release; automation does not bring it in again.",
    "TurnedUnhealthy": "This release, or a newer one, was healthy here and then no longer; automation does not "
    "bring it in again. A person may, with `towpath promote`.",
}


def take_request(state: LaneState, request: LaneRequest) -> Notices:
    """Let a promotion's request into the state; returns what to tell which promotion (workflow id)."""
    if not first_time(state, request.id):
        return []
    state.component, state.step = request.component, request.step
    if request.kind == "withdraw":
        state.candidates = [other for other in state.candidates if other.promotion != request.promotion]
        state.waiting = [
            other for other in state.waiting if other.promotion != request.promotion or other.kind == "restore"
        ]
        return []
    if request.kind == "restore":
        return _take_restore(state, request)
    if request.kind == "deploy":
        own = (other for other in state.candidates if other.promotion == request.promotion)
        if any(other.pinned for other in own):
            request = request.model_copy(update={"pinned": True})
        state.candidates = [other for other in state.candidates if other.promotion != request.promotion]
        if runs(state, request.release) and request.release.name not in state.bad:
            return [settled(request, "healthy", "AlreadyRunning", "It already runs here.", revision_of(state))]
    refused = _refusal(state, request)
    if refused is not None:
        return [refused]
    notices = _supersede_older(state, request)
    if request.kind == "candidate":
        state.candidates.append(request)
        return notices
    _queue(state, request)
    if request.hand_back:
        notices += _before_the_gate(state)
    elif state.hold:
        notices.append(settled(request, "held", "LaneHeld", hold_message(state.hold)))
    return notices


def take_alarm(state: LaneState, alarm: Alarm) -> bool:
    """Let a Vigil's alarm into the state; whether it is a new one. `settle` drops what leads nowhere."""
    if not first_time(state, alarm.id):
        return False
    state.alarms = [*state.alarms, alarm][-QUEUE_KEPT:]
    return True


def settle(state: LaneState, now: float) -> Notices:
    """Answer what waits in vain by now: marked bad, overtaken by what runs, or with nothing left to undo; and
    what a hold keeps waiting, or did."""
    if state.deploying:
        return _before_the_gate(state)
    notices: Notices = []
    for request in _queued(state):
        against = _undoable(state, request) if request.kind == "restore" else _against(state, request)
        if against is not None:
            notices.append(settled(request, *against, revision=revision_of(state)))
            _take_off(state, {request.id})
    for alarm in tuple(state.alarms):
        target = lane_back.alarm_target(state, alarm)
        if not isinstance(target, NothingToDo):
            continue
        state.alarms.remove(alarm)
        if target.reason == "NothingToGoBackTo":
            no_longer_healthy(state, alarm)
            reason = (
                f"revision {alarm.revision} is unhealthy ({alarm.verdict.reason}) and nothing good ran before it"
            )
            state.hold = state.hold or Hold(actor=AUTOMATION, reason=reason, since=now)
    return notices + _before_the_gate(state)


def _before_the_gate(state: LaneState) -> Notices:
    """While the lane is held, what had come past its gate stands before it; when it goes on, it comes again."""
    if state.hold is None:
        kept = [request for request in state.candidates if request.id in state.held]
        state.held = []
        message = "The lane goes on; the gate is asked once more."
        return [settled(request, "handed-back", "LaneResumed", message) for request in kept]
    notices: Notices = []
    kept = [request for request in state.waiting if request.hand_back and request.kind == "deploy"]
    _take_off(state, {request.id for request in kept})
    for request in [request.model_copy(update={"kind": "candidate"}) for request in kept]:
        newer = "" if request.pinned else _newer(state, request)
        if newer:
            message = f"{newer} is newer and waits at the gate of a held lane."
            notices.append(settled(request, "superseded", "NewerRelease", message))
            continue
        notices += _supersede_older(state, request)
        state.candidates.append(request)
        state.held.append(request.id)
        notices.append(settled(request, "held", "LaneHeld", hold_message(state.hold)))
    return notices


def overtake(state: LaneState, unpinned: set[str]) -> Notices:
    """Of these, which are pinned no longer, take off those that newer ones have overtaken meanwhile."""
    notices: Notices = []
    queued = _queued(state)
    for at, request in enumerate(queued):
        sequence = request.release.sequence
        later = [other.release for other in queued[at + 1 :] if other.release.sequence >= sequence]
        later += [other.release for other in queued[:at] if other.release.sequence > sequence]
        if later and request.id in unpinned and request.actor.kind == "automation":
            message = f"{later[0].name} is newer and has come as far."
            notices.append(settled(request, "superseded", "NewerRelease", message))
            _take_off(state, {request.id})
    return notices


def give_up(state: LaneState, request: LaneRequest, result: str, reason: str, message: str) -> Notices:
    """Take a request off the queue that cannot be begun; returns what to tell its promotion."""
    _take_off(state, {request.id})
    return [settled(request, result, reason, message)]


def cancel_all(state: LaneState) -> Notices:
    """Take every request off the lane, which is about to end; returns what to tell their promotions."""
    requests = [*state.candidates, *state.waiting, *([state.undecided] if state.undecided else [])]
    state.candidates, state.waiting, state.orders, state.undecided = [], [], [], None
    return [settled(request, "cancelled", "ComponentGone", "The component was deleted.") for request in requests]


def older_than(state: LaneState, release: Release, person: bool) -> Release | None:
    """The newer release that stands in the way: the last good one, for automation the present one as well."""
    standing = (state.last_good,) if person else (state.last_good, state.current)
    return next((each for each in standing if each is not None and each.sequence > release.sequence), None)


def older_message(release: Release, newer: Release) -> str:
    """Why an older release needs a word, and which."""
    return f"{release.name} is older than {newer.name}, which is good here; if you mean it, add `--allow-older`."


def _take_restore(state: LaneState, request: LaneRequest) -> Notices:
    """A compensation: what it undoes and has not begun is withdrawn; what has is taken back."""
    # Should what it undoes arrive only now, sent by a worker that had been stopped, it is known already.
    first_time(state, request.undo_of)
    gone = [other for other in _queued(state) if other.id == request.undo_of]
    _take_off(state, {request.undo_of})
    notices = [settled(other, "cancelled", "SetTakenBack", "Its release set is taken back.") for other in gone]
    position = sum(1 for other in state.waiting if other.kind == "restore")
    state.waiting.insert(position, request)
    settles = _undoable(state, request) and not state.deploying
    if state.hold and not settles and not decides_hold(state, request):
        notices.append(settled(request, "held", "LaneHeld", hold_message(state.hold)))
    return notices


def _undoable(state: LaneState, request: LaneRequest) -> NothingToDo | None:
    target = lane_back.restore_target(state, request)
    return target if isinstance(target, NothingToDo) else None


def _refusal(state: LaneState, request: LaneRequest) -> tuple[str, LaneSettled] | None:
    """What stands against a request when it arrives."""
    against = _against(state, request)
    if against is not None:
        return settled(request, *against)
    if state.rules >= RULES and len(state.waiting) + len(state.candidates) >= QUEUE_KEPT:
        return settled(request, "refused", "QueueFull", f"{QUEUE_KEPT} releases wait here; unpin some.")
    newer = _newer(state, request)
    if newer:
        return settled(request, "superseded", "NewerRelease", f"{newer} is newer and is here or on its way.")
    if state.rules < RULES and request.actor.kind == "automation" and request.release.sequence <= state.floor:
        return settled(request, "refused", "RolledBackByPerson", _FLOOR["RolledBackByPerson"])
    return None


def _against(state: LaneState, request: LaneRequest) -> NothingToDo | None:
    """What stands against bringing a release in, given what ran and runs here."""
    release, person = request.release, request.actor.kind == "person"
    if release.name in state.bad:
        return NothingToDo("refused", "ReleaseMarkedBad", bad_message(release.name, state.bad[release.name]))
    if state.rules < RULES or (person and request.allow_older):
        return None
    if not person and release.sequence <= state.floor:
        reason = state.floor_reason or "RolledBackByPerson"
        return NothingToDo("refused", reason, _FLOOR[reason])
    newer = older_than(state, release, person)
    if newer is None:
        return None
    if person or request.pinned:
        return NothingToDo("refused", "OlderThanLastGood", older_message(release, newer))
    return NothingToDo("superseded", "NewerRelease", f"{newer.name} is newer and is here or on its way.")


def _queue(state: LaneState, request: LaneRequest) -> None:
    """Behind the others, but a pinned release before newer ones: after them it would be too old."""
    place = len(state.waiting)
    if request.pinned and not request.allow_older:
        newer = (
            at
            for at, other in enumerate(state.waiting)
            if other.kind == "deploy" and other.release.sequence > request.release.sequence
        )
        place = next(newer, place)
    state.waiting.insert(place, request)


def _newer(state: LaneState, request: LaneRequest) -> str:
    """The name of a newer release that is here or on its way; a person may go past it on purpose."""
    if request.actor.kind == "person":
        return ""
    coming = lane_back.under_way(state)
    rivals = [release for release in (state.current, coming.release if coming else None) if release is not None]
    if not request.pinned:
        waiting = [
            other.release for other in _queued(state) if other.kind == request.kind or other.id in state.held
        ]
        rivals = waiting + rivals
    newer = [rival for rival in rivals if rival.sequence > request.release.sequence]
    return newer[0].name if newer else ""


def _supersede_older(state: LaneState, request: LaneRequest) -> Notices:
    older = [
        other
        for other in _queued(state)
        if other.release.sequence <= request.release.sequence
        and (other.promotion != request.promotion or not request.promotion)
        and not other.pinned
        and other.kind != "restore"
    ]
    _take_off(state, {other.id for other in older})
    message = f"{request.release.name} is newer and has come as far."
    return [settled(other, "superseded", "NewerRelease", message) for other in older]


def _queued(state: LaneState) -> list[LaneRequest]:
    return [*state.candidates, *state.waiting]


def _take_off(state: LaneState, gone: set[str]) -> None:
    state.candidates = [other for other in state.candidates if other.id not in gone]
    state.waiting = [other for other in state.waiting if other.id not in gone]
