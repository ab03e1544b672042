"""What an API server's refusal means: whose fault it is, and whether another try may help."""

from typing import Any

from model.failure import Conflict, Failure, InfrastructureFailure, NotFound, UserFailure

MESSAGE_LIMIT = 1000


class Expired(InfrastructureFailure):
    """A resource version or continue token is too old (410): list again."""


def unreachable(error: BaseException) -> InfrastructureFailure:
    """The server did not answer, or not to the end."""
    what = str(error) or type(error).__name__
    return InfrastructureFailure(
        "ApiServerUnavailable", f"The Kubernetes API server cannot be reached: {what[:MESSAGE_LIMIT]}"
    )


def failure(code: int, status: dict[str, Any]) -> Failure:
    """The failure for an HTTP status and the `Status` object that came with it.

    Reasons are the server's own (Kubernetes API conventions, "Response Status Kind") where it gives one.
    """
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or f"The API server answered {code}.")[:MESSAGE_LIMIT]
    causes = {
        cause.get("reason")
        for cause in (status.get("details") or {}).get("causes") or []
        if isinstance(cause, dict)
    }
    if code == 404:
        return NotFound(reason or "NotFound", message)
    if code == 409:
        return Conflict(reason or "Conflict", message)
    if code == 410:
        return Expired(reason or "Expired", message)
    if code == 403 and "NamespaceTerminating" in causes:
        return InfrastructureFailure("NamespaceTerminating", message)
    if code == 401:
        return InfrastructureFailure("Unauthorized", f"The API server does not accept our credentials: {message}")
    if code == 429 or code >= 500:
        return InfrastructureFailure("ApiServerUnavailable", message)
    return UserFailure(reason or "Invalid", message)
