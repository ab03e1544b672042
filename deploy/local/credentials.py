"""Secrets that are made once and kept with the state: the API token, the webhook secret, keys."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from deploy.local.configuration import write_text
from deploy.local.settings import Settings

_BYTES = 32


def api_token(settings: Settings) -> str:
    """The bearer token of Towpath's API."""
    return _secret(settings.secrets / "api-token")


def webhook_secret(settings: Settings) -> str:
    """What the Git server signs its webhooks with."""
    return _secret(settings.secrets / "webhook-secret")


def signing_key(settings: Settings) -> Path:
    """The server's private key, which proves who may tell workflows what."""
    path = settings.secrets / "signing-key.pem"
    _kept(path, _new_signing_key)
    return path


def acting_key(settings: Settings) -> Path:
    """The control worker's private key, for commands that people write in comments."""
    path = settings.secrets / "acting-key.pem"
    _kept(path, _new_signing_key)
    return path


def proof_keys(settings: Settings) -> Path:
    """The public halves of ``signing_key`` and ``acting_key``, for the workers."""
    pem = "".join(_public(path) for path in (signing_key(settings), acting_key(settings)))
    return write_text(settings.secrets / "proof-keys.pem", pem, mode=0o600)


def _public(path: Path) -> str:
    key = load_pem_private_key(path.read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def seal_keys(settings: Settings) -> Path:
    """What the control plane's workers seal their signals with."""
    path = settings.secrets / "seal-keys.json"
    _kept(path, _new_seal_keys)
    return path


def gitea_key(settings: Settings) -> str:
    """What the stack's Gitea keeps its secrets with."""
    return _secret(settings.secrets / "gitea-key")


def gitea_internal_token(settings: Settings) -> str:
    """What the stack's Gitea knows its own hooks by."""
    return _secret(settings.secrets / "gitea-internal-token")


def _new_signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _new_seal_keys() -> str:
    secret = base64.b64encode(secrets.token_bytes(_BYTES)).decode()
    return json.dumps([{"id": secrets.token_hex(4), "secret": secret}])


def _secret(path: Path) -> str:
    return _kept(path, lambda: secrets.token_urlsafe(_BYTES))


def _kept(path: Path, make: Callable[[], str]) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = make().strip()
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
