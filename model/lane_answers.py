"""What a lane tells promotions and people, and that it hears everything once."""

from model.lane import IDS_KEPT, Hold, LaneRequest, LaneSettled, LaneState

Notices = list[tuple[str, LaneSettled]]
"""Which promotion (its workflow's id) is to be told what."""


def first_time(state: LaneState, request: str) -> bool:
    """Whether this id was never seen; from now on it was."""
    if request in state.recent:
        return False
    state.recent = [*state.recent, request][-IDS_KEPT:]
    return True


def hold_message(hold: Hold) -> str:
    """Why automation waits, and what lets it go on."""
    why = f"Held by {hold.actor.name}: {hold.reason or 'no reason given'}."
    if hold.revision:
        return f"{why} `towpath accept` takes it as healthy, `towpath rollback` goes back."
    return f"{why} `towpath resume` lets it go on."


def settled(
    request: LaneRequest, result: str, reason: str, message: str, revision: int = 0
) -> tuple[str, LaneSettled]:
    """An answer to a request, and who is to get it."""
    answer = LaneSettled.model_validate(
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
    return request.promotion, answer
