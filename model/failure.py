"""One error type per kind of failure: the user's, the infrastructure's, and our own bug.

Each carries a stable reason in CamelCase (for scripts and for retry decisions) and a message for people
that says what to do next.
"""


class Failure(Exception):
    """Base of every failure that Towpath raises on purpose."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reason={self.reason!r}, message={self.message!r})"


class UserFailure(Failure):
    """The change or the request is wrong: trying again without changing it gives the same answer."""


class InfrastructureFailure(Failure):
    """Something around the change failed (registry, API server, network): trying again may help.

    `retry_after` is how many seconds the other side asks to wait first; None when it does not ask.
    """

    def __init__(self, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class NotFound(UserFailure):
    """What was named does not exist (any more)."""


class Conflict(UserFailure):
    """The request contradicts the present state, for instance an approval for another digest."""


class Refused(UserFailure):
    """The request is understood and not allowed, for instance approving one's own commit."""
