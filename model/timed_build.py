"""When a component is built although nobody has pushed: nightly, say, for what it stands on has moved."""

import re
from collections.abc import Mapping

from model.failure import UserFailure
from model.window import zone

ANNOTATION = "towpath.dev/build-schedule"
TIMES_LIMIT = 5
ZONE_PREFIX = "CRON_TZ="
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
_WORDS = frozenset({"@hourly", "@daily", "@weekly", "@monthly", "@yearly"})
_RANGE = re.compile(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?")


def annotated(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The times that a component's annotation states, one a line: `CRON_TZ=Europe/Berlin 0 3 * * 1-5`.

    Five fields as of cron(5), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`; the zone is one of the
    IANA's, and UTC when it is left out.

    Raises:
        UserFailure: `BadSchedule`, naming the line and what is wrong with it.
    """
    field = f"metadata.annotations.{ANNOTATION}"
    lines = [line.strip() for line in annotations.get(ANNOTATION, "")[:2000].splitlines() if line.strip()]
    if len(lines) > TIMES_LIMIT:
        raise UserFailure("BadSchedule", f"{field}: at most {TIMES_LIMIT} lines")
    times = tuple(_time(line, f"{field}: line {number}") for number, line in enumerate(lines, 1))
    # One schedule of Temporal's has one zone.
    if len({time.partition(" ")[0] for time in times}) > 1:
        raise UserFailure("BadSchedule", f"{field}: all lines must be in the same time zone")
    return times


def _time(line: str, where: str) -> str:
    words = line.split()
    name = "UTC"
    if words and words[0].startswith(ZONE_PREFIX):
        name = words.pop(0).removeprefix(ZONE_PREFIX)
    try:
        zone(name)
    except UserFailure as failure:
        raise UserFailure("BadSchedule", f"{where}: {failure.message}") from None
    if len(words) == 1 and words[0].lower() in _WORDS:
        return f"{ZONE_PREFIX}{name} {words[0].lower()}"
    if len(words) != len(_FIELDS):
        raise UserFailure("BadSchedule", f"{where}: write five fields, such as 'CRON_TZ=Europe/Berlin 0 3 * * *'")
    for word, (what, low, high) in zip(words, _FIELDS, strict=True):
        for part in word.lower().split(","):
            if not _possible(part, what, low, high):
                raise UserFailure("BadSchedule", f"{where}: this is no {what}; {low} to {high}, *, or */n")
    return f"{ZONE_PREFIX}{name} {' '.join(words)}"


def _possible(part: str, what: str, low: int, high: int) -> bool:
    matched = _RANGE.fullmatch(part)
    if matched is None:
        return False
    first, last, step = matched.groups()
    if step is not None and not 1 <= int(step) <= high:
        return False
    if step is not None and first is not None and last is None:
        return False
    ends = [_number(each, what, low) for each in (first, last) if each is not None]
    return all(low <= each <= high for each in ends) and ends == sorted(ends)


def _number(text: str, what: str, low: int) -> int:
    if text.isdigit():
        return int(text)
    names = _NAMES.get(what, ())
    return names.index(text) + low if text in names else -1
