"""Windows and freezes open when the clocks on the wall say so, also on the days on which clocks are changed."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.failure import UserFailure
from model.timetable import inside, is_open, look, next_open
from model.window import DAY_MINUTES, Freeze, Window, zone

BERLIN = "Europe/Berlin"
OFFICE = Window(days=(0, 1, 2, 3, 4), start=9 * 60, end=17 * 60, zone=BERLIN)
ZONES = (
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "UTC",
    "America/Sao_Paulo",
    "Pacific/Apia",
)


def at(text: str, zone_name: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone_name), fold=fold).timestamp()


def test_a_window_opens_on_the_next_working_day() -> None:
    friday_evening = at("2026-11-20 18:00")
    found = look([OFFICE], [], friday_evening)
    assert (found.open, found.reason) == (False, "OutsideWindow")
    assert found.until == at("2026-11-23 09:00")
    assert "Mon 2026-11-23 09:00 Europe/Berlin" in found.message


def test_an_open_window_tells_when_it_closes() -> None:
    found = look([OFFICE], [], at("2026-11-20 10:00"))
    assert found.open
    assert found.until == at("2026-11-20 17:00")


def test_nine_oclock_is_nine_oclock_before_and_after_the_clocks_change() -> None:
    sunday = Window(days=(6,), start=9 * 60, end=10 * 60, zone=BERLIN)
    before = next_open([sunday], [], at("2026-10-18 12:00"))
    after = next_open([sunday], [], at("2026-11-01 08:00"))
    assert before == at("2026-10-25 09:00")
    assert after - before == 7 * 86_400, "both after the change"
    assert next_open([sunday], [], at("2026-10-18 08:00")) - at("2026-10-25 09:00") == -7 * 86_400 - 3600


def test_a_window_in_the_hour_that_is_left_out_starts_after_it() -> None:
    night = Window(start=2 * 60 + 30, end=4 * 60, zone=BERLIN)
    midnight = at("2026-03-29 00:00")
    assert next_open([night], [], midnight) == at("2026-03-29 03:00")
    gone = Window(start=2 * 60, end=3 * 60, zone=BERLIN)
    assert next_open([gone], [], midnight) == at("2026-03-30 02:00"), "that night it does not come about"


def test_both_passes_of_the_hour_that_comes_twice_are_inside() -> None:
    night = Window(start=2 * 60, end=3 * 60, zone=BERLIN)
    first = at("2026-10-25 02:00", fold=0)
    assert look([night], [], first).until - first == 2 * 3600


def test_a_window_past_midnight_belongs_to_the_day_it_starts_on() -> None:
    friday = Window(days=(4,), start=22 * 60, end=2 * 60, zone=BERLIN)
    assert inside(friday, at("2026-11-21 01:59"))
    assert not inside(friday, at("2026-11-21 02:00"))
    assert not inside(friday, at("2026-11-20 01:00"))


def test_a_denying_window_wins_and_says_why() -> None:
    standup = Window(allow=False, start=9 * 60, end=10 * 60, zone=BERLIN, reason="stand-up")
    found = look([OFFICE, standup], [], at("2026-11-23 09:30"))
    assert (found.reason, found.until) == ("WindowDenies", at("2026-11-23 10:00"))
    assert "stand-up" in found.message


def test_a_freeze_over_a_change_of_clocks_ends_by_the_wall_clock() -> None:
    freeze = Freeze(start=at("2026-10-24 00:00"), end=at("2026-10-26 00:00"), zone=BERLIN, reason="move")
    found = look([], [freeze], at("2026-10-24 00:00"))
    assert found.reason == "Frozen"
    assert found.until - at("2026-10-24 00:00") == 49 * 3600
    assert "Mon 2026-10-26 00:00 Europe/Berlin" in found.message


def test_after_a_freeze_the_window_must_open_too() -> None:
    freeze = Freeze(start=at("2026-12-01 00:00"), end=at("2027-03-06 12:00"), zone=BERLIN)
    assert look([OFFICE], [freeze], at("2026-12-02 10:00")).until == at("2027-03-08 09:00")


def test_a_freeze_to_come_closes_what_is_open() -> None:
    freeze = Freeze(start=at("2027-06-01 00:00"), end=at("2027-06-02 00:00"), zone=BERLIN)
    assert look([], [freeze], at("2026-11-20 10:00")).until == freeze.start


def test_what_never_opens_says_so() -> None:
    never = look([OFFICE, OFFICE.model_copy(update={"allow": False})], [], at("2026-11-20 10:00"))
    assert (never.open, never.until) == (False, 0)
    assert "never opens" in never.message


@pytest.mark.parametrize(
    "name", ["", "Europe/Nowhere", "../etc/passwd", "/etc/passwd", "Europe", "tzdata.zi", "a\x00b"]
)
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(UserFailure) as refused:
        zone(name)
    assert refused.value.reason == "UnknownTimeZone"


MOMENTS = st.integers(
    int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
)
WINDOWS = st.builds(
    Window,
    allow=st.booleans(),
    days=st.lists(st.integers(0, 6), max_size=4, unique=True).map(tuple),
    start=st.integers(0, DAY_MINUTES - 1),
    end=st.integers(0, DAY_MINUTES),
    zone=st.sampled_from(ZONES),
)
FREEZES = st.builds(
    lambda start, length: Freeze(start=start, end=start + length), MOMENTS, st.integers(60, 40 * 86_400)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WINDOWS, max_size=3), st.lists(FREEZES, max_size=2), MOMENTS, st.data())
def test_until_is_the_first_moment_at_which_it_changes(
    windows: list[Window], freezes: list[Freeze], now: int, data: st.DataObject
) -> None:
    found = look(windows, freezes, now)
    assert found.open == is_open(windows, freezes, now)
    end = found.until or now + 15 * 86_400
    if found.until:
        assert found.until > now
        assert is_open(windows, freezes, found.until) != found.open
    within = [now + (end - now) * data.draw(st.floats(0, 0.999)) for _ in range(20)]
    edges = [end - 1, end - 60, now + 1]
    for moment in [*within, *(edge for edge in edges if now <= edge < end)]:
        assert is_open(windows, freezes, moment) == found.open


@settings(max_examples=100, deadline=None)
@given(WINDOWS, MOMENTS)
def test_a_window_is_what_a_clock_on_the_wall_reads(window: Window, moment: int) -> None:
    wall = datetime.fromtimestamp(moment, ZoneInfo(window.zone))
    minute, day = wall.hour * 60 + wall.minute, wall.weekday()
    yesterday = (wall - timedelta(days=1)).weekday()
    days = window.days or tuple(range(7))
    if window.start < window.end:
        expected = day in days and window.start <= minute < window.end
    else:
        expected = (day in days and minute >= window.start) or (yesterday in days and minute < window.end)
    assert inside(window, moment) == expected
