"""The order of writes to one lane: a late write of an earlier step must not undo a later one."""

from collections.abc import Mapping
from typing import Any

from model import labels


def fence_of(obj: Mapping[str, Any]) -> int:
    """The fence that an object was last written with; -1 when none can be read."""
    text = str((obj["metadata"].get("annotations") or {}).get(labels.FENCE, ""))
    return int(text) if text.isascii() and text.isdigit() else -1


def is_late(existing: Mapping[str, Any], fence: int) -> bool:
    """Whether a write with this fence comes after one with a higher one."""
    return fence_of(existing) > fence
