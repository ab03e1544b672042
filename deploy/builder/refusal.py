"""How a build says no, so that people read a reason and not "exit code 1"."""

from __future__ import annotations

USER_EXIT = 10
"""The source is wrong: building it again gives the same answer."""
INFRASTRUCTURE_EXIT = 20
"""Something around the build failed: another try may help."""

MESSAGE_LIMIT = 1500
"""A termination message may have 4,096 bytes (Kubernetes, "Customizing the termination message")."""


class BuildRefused(Exception):
    """The build ends here.

    Args:
        reason: stable CamelCase word.
        message: for people, one line; says what to do next.
    """

    exit_code = USER_EXIT

    def __init__(self, reason: str, message: str) -> None:
        line = " ".join(message.split())
        super().__init__(f"{reason}: {line}")
        self.reason = reason
        self.message = line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"


class BuildInterrupted(BuildRefused):
    """The infrastructure's failure, not the source's."""

    exit_code = INFRASTRUCTURE_EXIT
