"""Whether windows and freezes let a release in at a moment, and when that changes next.

Two workers may have different zone data, so that no workflow may compute this itself: it asks an activity
(`activities.timetable`), whose answer is in its history.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from model.value import Value
from model.window import DAY_MINUTES, Freeze, Window, zone

DAY = 86_400.0
LOOK_AHEAD = 15 * DAY
"""Weekly windows repeat, and a change of clocks moves them once: what does not open in two weeks never does."""


class TimetableQuestion(Value):
    """`now` in seconds since the epoch is the asking workflow's time."""

    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    now: float


class Opening(Value):
    """Whether it is open, why not, and until when that stays so (seconds since the epoch; 0: for good)."""

    open: bool
    reason: str = "Open"
    message: str = ""
    until: float = 0
    at: float = 0


def look(windows: Sequence[Window], freezes: Sequence[Freeze], now: float) -> Opening:
    """The state at `now`. Freezes and denying windows win over allowing ones.

    Raises:
        UserFailure: `UnknownTimeZone`.
    """
    freeze = _freeze(freezes, now)
    refusal = _refusal(windows, now)
    if freeze is None and refusal is None:
        until = _next(windows, freezes, now, opened=False)
        return Opening(open=True, until=until, at=now, message=_open_message(windows, until))
    until = _next(windows, freezes, now, opened=True)
    when = f"opens {written(until, _zone(windows, freeze))}" if until else "never opens; change the policy"
    if freeze is not None:
        why = f" ({freeze.reason})" if freeze.reason else ""
        message = f"Frozen until {written(freeze.end, freeze.zone)}{why}; {when}."
        return Opening(open=False, reason="Frozen", message=message, until=until, at=now)
    assert refusal is not None  # noqa: S101  (one of the two it was)
    reason, why = refusal
    return Opening(open=False, reason=reason, message=f"{why}; {when}.", until=until, at=now)


def is_open(windows: Sequence[Window], freezes: Sequence[Freeze], moment: float) -> bool:
    """Whether a release may go in at `moment` (seconds since the epoch)."""
    return _freeze(freezes, moment) is None and _refusal(windows, moment) is None


def next_open(windows: Sequence[Window], freezes: Sequence[Freeze], now: float) -> float:
    """The first moment from `now` on at which a release may go in; 0 when there is none."""
    return now if is_open(windows, freezes, now) else _next(windows, freezes, now, opened=True)


def inside(window: Window, moment: float) -> bool:
    """Whether the window's clock reads a time inside it."""
    wall = datetime.fromtimestamp(moment, zone(window.zone))
    minute = wall.hour * 60 + wall.minute
    if window.start < window.end:
        return _on(window, wall.weekday()) and window.start <= minute < window.end
    if minute >= window.start:
        return _on(window, wall.weekday())
    return minute < window.end and _on(window, (wall.weekday() - 1) % 7)


def written(moment: float, zone_name: str) -> str:
    """A moment for people, by the clocks of a zone."""
    return datetime.fromtimestamp(moment, zone(zone_name)).strftime(f"%a %Y-%m-%d %H:%M {zone_name}")


def _on(window: Window, day: int) -> bool:
    return not window.days or day in window.days


def _freeze(freezes: Sequence[Freeze], moment: float) -> Freeze | None:
    """The freeze that lasts longest of those that hold."""
    holding = [freeze for freeze in freezes if freeze.start <= moment < freeze.end]
    return max(holding, key=lambda freeze: freeze.end, default=None)


def _refusal(windows: Sequence[Window], moment: float) -> tuple[str, str] | None:
    for window in windows:
        if not window.allow and inside(window, moment):
            why = f" ({window.reason})" if window.reason else ""
            return "WindowDenies", f"Nothing goes in at this time of the week{why}"
    allowing = [window for window in windows if window.allow]
    if allowing and not any(inside(window, moment) for window in allowing):
        return "OutsideWindow", "Outside the windows in which releases go in"
    return None


def _next(windows: Sequence[Window], freezes: Sequence[Freeze], now: float, opened: bool) -> float:
    """The first moment after `now` at which it is open (or no longer); 0 when it stays as it is."""
    last = max([now, *(freeze.end for freeze in freezes)])
    at = now
    while at <= last:
        end = at + LOOK_AHEAD
        for moment in sorted(_candidates(windows, freezes, at, end)):
            if is_open(windows, freezes, moment) == opened:
                return moment
        # Within a long freeze the weeks are all alike: go on where something may change.
        later = [edge for freeze in freezes for edge in (freeze.start, freeze.end) if edge >= end]
        if not later:
            break
        at = min(later) - 1
    return 0


def _candidates(windows: Sequence[Window], freezes: Sequence[Freeze], after: float, until: float) -> set[float]:
    """Every moment at which the state can change, within (after, until]."""
    found = {edge for freeze in freezes for edge in (freeze.start, freeze.end)}
    for window in windows:
        clock = zone(window.zone)
        found.update(_turns(clock, after, until))
        for day in _days(clock, after, until):
            for minutes in (0, window.start, window.end % DAY_MINUTES):
                wall = datetime.combine(day, time(minutes // 60, minutes % 60), clock)
                found.update(wall.replace(fold=fold).timestamp() for fold in (0, 1))
    return {moment for moment in found if after < moment <= until}


def _days(clock: ZoneInfo, after: float, until: float) -> Iterator[date]:
    day = datetime.fromtimestamp(after, clock).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until, clock).date() + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)


def _turns(clock: ZoneInfo, after: float, until: float) -> Iterator[float]:
    """The moments at which the zone's clocks are changed, to the second."""

    def offset(moment: float) -> timedelta | None:
        return datetime.fromtimestamp(moment, clock).utcoffset()

    at = float(int(after))
    while at < until:
        low, high = at, min(at + DAY, until)
        if offset(low) != offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            yield float(high)
        at += DAY


def _zone(windows: Sequence[Window], freeze: Freeze | None) -> str:
    return freeze.zone if freeze is not None else windows[0].zone if windows else "UTC"


def _open_message(windows: Sequence[Window], until: float) -> str:
    return f"Open until {written(until, _zone(windows, None))}." if until else "Open."
