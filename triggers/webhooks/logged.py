"""Which of a request's headers may be logged: senders have been known to put secrets into others."""

from collections.abc import Mapping

_HEADERS = (
    "x-github-event",
    "x-github-delivery",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "idempotency-key",
    "webhook-id",
    "x-event-key",
    "x-request-uuid",
    "x-request-id",
    "x-attempt-number",
    "x-forgejo-event",
    "x-forgejo-delivery",
    "x-gitea-event",
    "x-gitea-delivery",
    "x-gogs-event",
    "x-gogs-delivery",
    "x-towpath-event",
    "x-towpath-delivery",
    "content-length",
)
_LENGTH = 64


def logged(headers: Mapping[str, str]) -> dict[str, str]:
    """Those on the list, cut and printable."""
    return {name: shown(headers[name]) for name in _HEADERS if name in headers}


def shown(text: str) -> str:
    """A header's text as it may be kept: cut and printable."""
    return "".join(ch for ch in text[:_LENGTH] if ch.isprintable())
