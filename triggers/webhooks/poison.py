"""What is kept of a delivery on which reading broke."""

import hashlib
import traceback
from collections.abc import Mapping
from pathlib import Path

from model.poison import Poison
from triggers.webhooks.logged import shown

_EVENTS = ("x-towpath-event", "x-forgejo-event", "x-gitea-event", "x-gogs-event", "x-gitlab-event", "x-event-key")
_DELIVERIES = (
    "x-towpath-delivery",
    "x-forgejo-delivery",
    "x-gitea-delivery",
    "x-gogs-delivery",
    "idempotency-key",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "x-request-id",
    "x-github-delivery",
)


def poison_of(provider: str, headers: Mapping[str, str], body: bytes, error: Exception, sequence: int) -> Poison:
    """The record. Of the error only its type and its place are kept: what it says may quote the body."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "site-packages" not in each.filename]
    place = f"{Path(frames[-1].filename).stem}:{frames[-1].lineno}" if frames else ""
    return Poison(
        provider=provider,
        delivery=_first(headers, _DELIVERIES),
        event=_first(headers, (*_EVENTS, "x-github-event")),
        size=len(body),
        digest=hashlib.sha256(body).hexdigest(),
        error=type(error).__name__,
        place=place,
        sequence=sequence,
    )


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((shown(headers[name]) for name in names if headers.get(name)), "")
