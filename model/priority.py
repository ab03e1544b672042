"""What goes first when builds wait: five words, and what a build gets when nobody has said one."""

from typing import Literal

from model.failure import UserFailure

Priority = Literal["urgent", "high", "normal", "low", "idle"]
WORDS: tuple[Priority, ...] = ("idle", "low", "normal", "high", "urgent")
ANNOTATION = "towpath.dev/priority"

_OF_CAUSE: dict[str, Priority] = {"trigger": "high", "sweep": "idle", "schedule": "idle"}


def step(priority: Priority) -> int:
    """0 for what may wait longest, one more for each word above it."""
    return WORDS.index(priority)


def of_cause(cause: str, preview: bool) -> Priority:
    """What a build gets by what it is for: a person's trigger before a push, that before a preview, and that
    before what a clock or a sweep started."""
    return "low" if preview else _OF_CAUSE.get(cause, "normal")


def stated(text: str, where: str) -> Priority | Literal[""]:
    """A priority as an annotation or a field states it; empty for none.

    Raises:
        UserFailure: `InvalidManifest`, naming where it stands.
    """
    for word in WORDS:
        if word == text:
            return word
    if text:
        raise UserFailure("InvalidManifest", f"{where}: write one of {', '.join(reversed(WORDS))}")
    return ""
