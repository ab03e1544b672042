"""Durations as people write them: `1d12h30m15s`, as OpenChoreo's `ttlAfterCompletion` has them."""

import re
from typing import Annotated

from pydantic import Field

from model.failure import UserFailure

PATTERN = r"^([0-9]{1,5}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}(\.[0-9]{1,3})?s)?$"
_UNIT = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

Duration = Annotated[str, Field(min_length=2, max_length=32, pattern=PATTERN)]


def seconds(text: str, field: str) -> float:
    """The duration in seconds; `field` is named when it cannot be read.

    Raises:
        UserFailure: `BadDuration`.
    """
    matched = re.fullmatch(PATTERN, text)
    if not text or matched is None:
        raise UserFailure("BadDuration", f"{field}: write a duration such as 90s, 5m, 2h or 1d12h.")
    return sum(float(part[:-1]) * _UNIT[part[-1]] for part in re.findall(r"[0-9.]+[dhms]", text))
