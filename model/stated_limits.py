"""Limits of builds as annotations state them."""

import re

from model.failure import UserFailure

RUNNING = "towpath.dev/builds"
PER_PROJECT = "towpath.dev/builds-per-project"
MOST = 10_000


def whole(text: str, where: str) -> int | None:
    """The number that is stated; None for nothing. 0 on a plane lets nobody in.

    Raises:
        UserFailure: `InvalidManifest`, naming where it stands.
    """
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MOST:
        raise UserFailure("InvalidManifest", f"{where}: write a whole number from 0 to {MOST}")
    return int(text)
