"""When a component is built although nobody has pushed."""

import pytest

from model.failure import UserFailure
from model.timed_build import ANNOTATION, annotated


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", ()),
        ("0 3 * * *", ("CRON_TZ=UTC 0 3 * * *",)),
        (
            "CRON_TZ=Europe/Berlin  0 3 * * mon-fri\n\nCRON_TZ=Europe/Berlin @daily",
            ("CRON_TZ=Europe/Berlin 0 3 * * mon-fri", "CRON_TZ=Europe/Berlin @daily"),
        ),
        ("*/15 0-6,22 1 jan,7 0", ("CRON_TZ=UTC */15 0-6,22 1 jan,7 0",)),
    ],
)
def test_times_are_read(text: str, times: tuple[str, ...]) -> None:
    assert annotated({ANNOTATION: text} if text else {}) == times


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 3 * *", "five fields"),
        ("60 3 * * *", "no minute"),
        ("0 3 * * mon-sun", "no day of week"),
        ("0 25 * * *", "no hour"),
        ("0 3 0 * *", "no day of month"),
        ("0 3 * nov-jan *", "no month"),
        ("*/0 3 * * *", "no minute"),
        ("5/2 3 * * *", "no minute"),
        ("CRON_TZ=Mars/Olympus 0 3 * * *", "Mars/Olympus"),
        ("@never", "five fields"),
        ("\n".join(["@daily"] * 6), "at most 5"),
        ("@daily\n0 3 * * x", "line 2"),
        ("@daily\nCRON_TZ=Asia/Tokyo @daily", "same time zone"),
    ],
)
def test_a_bad_time_is_refused_and_named(text: str, why: str) -> None:
    with pytest.raises(UserFailure, match="build-schedule") as caught:
        annotated({ANNOTATION: text})
    assert why in caught.value.message
