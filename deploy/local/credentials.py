"""Secrets that are made once and kept with the state: the API token, the webhook secret."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from deploy.local.settings import Settings

_BYTES = 32


def api_token(settings: Settings) -> str:
    """The bearer token of Towpath's API."""
    return _secret(settings.secrets / "api-token")


def webhook_secret(settings: Settings) -> str:
    """What the Git server signs its webhooks with."""
    return _secret(settings.secrets / "webhook-secret")


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = secrets.token_urlsafe(_BYTES)
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(value + "\n")
    try:
        # Fails when another process was first: then its secret is the one.
        path.hardlink_to(draft)
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
    return value
