"""What can go wrong while the stack is built, started or stopped."""


class StackError(Exception):
    """A failure with a stable reason and a message that says what to do next.

    Args:
        reason: CamelCase word that scripts and tests may match on.
        message: for people; ends with what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r}, {self.message!r})"


class PrerequisiteMissing(StackError):
    """Something that the stack does not install by itself is absent or too old."""


class BuildFailed(StackError):
    """A part could not be built or installed."""


class ServiceFailed(StackError):
    """A service did not become ready, or could not be stopped."""
