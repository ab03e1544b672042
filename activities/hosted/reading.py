"""Reading what a provider answered: whatever is there, what is not as expected is empty."""

from typing import Any


def part(found: Any, name: str) -> dict[str, Any]:
    """An object inside an object; an empty one when there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, dict) else {}


def text(found: Any, name: str) -> str:
    """A text; empty when there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def number(found: Any, name: str) -> str:
    """An id as text; empty when there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def flag(found: Any, name: str) -> bool:
    """A yes; everything else is a no."""
    return isinstance(found, dict) and found.get(name) is True


def entries(found: Any, name: str) -> list[Any]:
    """A list inside an object; empty when there is none."""
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []
