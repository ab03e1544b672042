"""When a gate may open: weekly windows in a time zone, and freezes from one moment to another."""

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from pydantic import Field

from model.failure import UserFailure
from model.value import Value

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60


class Window(Value):
    """A part of the week by the clocks of `zone`: on `days` (0 is Monday; none: every day) from `start` until
    before `end`, both in minutes since midnight.

    An `end` at or before `start` lies on the next day, and the window belongs to the day on which it starts.
    What counts is what a clock on the wall reads: where clocks are put forward, a window that would start in
    the missing hour starts after it; where they are put back, both passes of an hour are inside.
    """

    allow: bool = True
    days: tuple[int, ...] = ()
    start: int = Field(default=0, ge=0, lt=DAY_MINUTES)
    end: int = Field(default=DAY_MINUTES, ge=0, le=DAY_MINUTES)
    zone: str = "UTC"
    reason: str = ""
    source: str = ""


class Freeze(Value):
    """Nothing goes in from `start` until before `end` (seconds since the epoch)."""

    start: float
    end: float
    zone: str = "UTC"
    reason: str = ""
    source: str = ""


@lru_cache(maxsize=700)
def zone(name: str) -> ZoneInfo:
    """A time zone of the IANA database, always the pinned `tzdata` package's: what the machine has may be older.

    Raises:
        UserFailure: `UnknownTimeZone`.
    """
    parts = name.split("/")
    known = bool(name) and all(part and part[0] not in "." and part.isprintable() for part in parts)
    place = files("tzdata").joinpath("zoneinfo", *parts) if known else None
    if place is None or not place.is_file():
        raise UserFailure(
            "UnknownTimeZone", f"{name[:64]!r} is no time zone; write one such as Europe/Berlin or UTC."
        )
    with place.open("rb") as content:
        try:
            return ZoneInfo.from_file(content, key=name)
        except ValueError:
            raise UserFailure(
                "UnknownTimeZone", f"{name[:64]!r} is no time zone; write one such as UTC."
            ) from None
