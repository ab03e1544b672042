"""Kubernetes Secrets, one key at a time. What is read is never logged and never leaves the process."""

import base64
import binascii
import time
from typing import Any

from activities.apiserver import ApiServer
from model.failure import NotFound, UserFailure
from model.secret_rotation import live, names


class Secrets:
    """Reads webhook secrets and Git credentials."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """One key's text; None when there is no such Secret or key.

        Raises:
            UserFailure: `SecretUnreadable`, the value is not text.
        """
        secret = await self._server.get("v1", "Secret", name, namespace)
        return None if secret is None else _text(secret, namespace, name, key)

    async def live(self, namespace: str, name: str, key: str) -> tuple[str, ...]:
        """What may be signed with while one webhook secret replaces another (see `model.secret_rotation`).

        Raises:
            UserFailure: `SecretUnreadable`.
        """
        secret = await self._server.get("v1", "Secret", name, namespace)
        if secret is None:
            return ()
        found = {each: _text(secret, namespace, name, each) or "" for each in names(key)}
        return live(found, key, time.time())

    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        """User and password of a Secret of type `kubernetes.io/basic-auth`; None when `secret` is empty.

        Raises:
            NotFound: `SecretNotFound`, there is no such Secret.
            UserFailure: `SecretUnreadable`, it lacks `username` or `password`.
        """
        if not secret:
            return None
        found = await self._server.get("v1", "Secret", secret, namespace)
        if found is None:
            raise NotFound("SecretNotFound", f"There is no Secret {namespace}/{secret} with Git credentials.")
        user, password = (_text(found, namespace, secret, key) for key in ("username", "password"))
        if user is None or password is None:
            raise UserFailure("SecretUnreadable", f"Secret {namespace}/{secret} needs keys username and password.")
        return user, password


def _text(secret: dict[str, Any], namespace: str, name: str, key: str) -> str | None:
    value = (secret.get("data") or {}).get(key)
    if value is None:
        return None
    try:
        return base64.b64decode(value, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        # Without the cause: a decoder's message may quote the value.
        raise UserFailure("SecretUnreadable", f"Key {key} of Secret {namespace}/{name} is not text.") from None
