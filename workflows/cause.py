"""What an activity's or child's failure really was: reason, message, and whose fault."""

from typing import Literal, NamedTuple

from temporalio.exceptions import ApplicationError, FailureError, TimeoutError, TimeoutType

MESSAGE_LIMIT = 1000


class Cause(NamedTuple):
    """A stable reason, a message for people (at most 1,000 characters), and whose failure it is."""

    reason: str
    message: str
    fault: Literal["user", "infrastructure", "bug"]


def cause_of(error: FailureError) -> Cause:
    """Unwrap a failure down to the `model.failure` that an activity raised, or to a time limit.

    Activities' failures travel as ApplicationError with the class name as type and the reason as first
    detail (see `worker.failures`).
    """
    inner: BaseException | None = error
    while isinstance(inner, FailureError):
        if isinstance(inner, ApplicationError):
            reason = str(inner.details[0]) if inner.details else (inner.type or "Unknown")
            fault: Literal["user", "infrastructure", "bug"] = "bug"
            if inner.type in ("UserFailure", "NotFound", "Conflict", "Refused"):
                fault = "user"
            elif inner.type == "InfrastructureFailure":
                fault = "infrastructure"
            return Cause(reason, inner.message[:MESSAGE_LIMIT], fault)
        if isinstance(inner, TimeoutError) and inner.cause is None:
            return Cause(*_timeout(inner), "infrastructure")
        if inner.cause is None:
            break
        inner = inner.cause
    return Cause("Unknown", str(inner)[:MESSAGE_LIMIT], "infrastructure")


def _timeout(error: TimeoutError) -> tuple[str, str]:
    if error.type == TimeoutType.SCHEDULE_TO_START:
        return "NobodyServesPlane", "No worker of this plane took the work; is one running? See `towpath doctor`."
    return "TimeLimit", "A step did not finish within its time limit, tried as often as the limit allows."
