"""A person's word on a release, for all environments: bad ones are not brought in any more."""

from collections.abc import Mapping
from typing import Any, Literal

from model.value import Value

VERDICT = "towpath.dev/mark"
REASON = "towpath.dev/mark-reason"
BY = "towpath.dev/mark-by"
AT = "towpath.dev/mark-at"


class Mark(Value):
    """`bad`: nothing deploys or promotes it; `good`: that is taken back. `at` in seconds since the epoch."""

    word: Literal["bad", "good"] = "good"
    reason: str = ""
    by: str = ""
    at: float = 0

    @property
    def bad(self) -> bool:
        """Whether the release may not be brought in."""
        return self.word == "bad"


def annotations(mark: Mark) -> dict[str, str]:
    """A mark as it is kept on a ComponentRelease, whose spec may not change."""
    return {VERDICT: mark.word, REASON: mark.reason, BY: mark.by, AT: f"{mark.at:.3f}"}


def mark_of(obj: Mapping[str, Any]) -> Mark | None:
    """The mark on a ComponentRelease; None when nobody has said anything.

    An annotation that is neither `good` nor `bad` was written by hand and is taken as `bad`: what was meant
    as a warning must not be passed over.
    """
    kept = obj["metadata"].get("annotations") or {}
    word = kept.get(VERDICT, "")
    if not word:
        return None
    at = str(kept.get(AT, ""))
    return Mark(
        word="good" if word == "good" else "bad",
        reason=str(kept.get(REASON, ""))[:500],
        by=str(kept.get(BY, ""))[:200],
        at=float(at) if at.replace(".", "", 1).isdecimal() and at.isascii() else 0,
    )


def bad_message(release: str, reason: str, by: str = "") -> str:
    """Why a marked release is refused, and what lifts that."""
    who = f" by {by}" if by else ""
    why = f": {reason}" if reason else ""
    return f"{release} was marked bad{who}{why}. `towpath mark` with `good` takes that back."
