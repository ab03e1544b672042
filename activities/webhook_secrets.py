"""Webhook secrets in Kubernetes: made and replaced here, never told to anybody but the provider."""

import base64
import secrets
import time
from collections.abc import Callable
from typing import Any

from activities.apiserver import ApiServer
from model import secret_rotation as rotation
from model.failure import Conflict, InfrastructureFailure, NotFound, Refused, UserFailure

LABEL = "towpath.dev/webhook"
_BYTES = 32
_TRIES = 5
Change = Callable[[rotation.Texts], rotation.Change]


class WebhookSecrets:
    """The Secrets that Repositories name for their webhooks.

    Only Secrets with the label `towpath.dev/webhook` are written to, which an admission policy sees to as well.

    Args:
        server: the control plane's API server.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def newest(self, namespace: str, name: str, key: str) -> str:
        """What the provider is to sign with; empty when there is no such Secret or key.

        Raises:
            UserFailure: `SecretUnreadable`.
        """
        found = await self._server.get("v1", "Secret", name, namespace)
        return "" if found is None else rotation.newest(texts(found, namespace, name), key)

    async def ensure(self, namespace: str, name: str, key: str) -> str:
        """As `newest`; makes the Secret, or the key in it, when it is missing.

        Raises:
            Refused: `SecretNotOurs`, it lacks the label.
        """
        if present := await self.newest(namespace, name, key):
            return present
        await self.prepare(namespace, name, key)
        made = await self.newest(namespace, name, key)
        if not made:
            raise InfrastructureFailure("WriteContended", f"Secret {namespace}/{name} was deleted meanwhile.")
        return made

    async def prepare(self, namespace: str, name: str, key: str) -> None:
        """Let a fresh secret count beside the present one; twice is once."""
        fresh = secrets.token_urlsafe(_BYTES)
        await self._change(namespace, name, lambda found: rotation.prepared(found, key, fresh))

    async def told(self, namespace: str, name: str, key: str, secret: str) -> None:
        """Note that the provider has been told of this one."""
        await self._change(namespace, name, lambda found: rotation.told(found, key, secret))

    async def promote(self, namespace: str, name: str, key: str, until: float) -> None:
        """Make the fresh secret the secret; the old one counts until then (seconds since the epoch)."""
        await self._change(namespace, name, lambda found: rotation.promoted(found, key, until))

    async def retire(self, namespace: str, name: str, key: str) -> None:
        """Drop the old secret, unless it still counts."""
        await self._change(namespace, name, lambda found: rotation.retired(found, key, time.time()))

    async def _change(self, namespace: str, name: str, change: Change) -> None:
        """Write what has to change in the very version that was looked at."""
        for _ in range(_TRIES):
            found = await self._server.get("v1", "Secret", name, namespace)
            wanted = change(texts(found, namespace, name) if found else {})
            if not wanted:
                return
            try:
                await self._write(namespace, name, found, wanted)
                return
            except (Conflict, NotFound):
                continue
        raise InfrastructureFailure("WriteContended", f"Others keep writing Secret {namespace}/{name}; try again.")

    async def _write(
        self, namespace: str, name: str, found: dict[str, Any] | None, wanted: rotation.Change
    ) -> None:
        data = {
            key: None if text is None else base64.b64encode(text.encode()).decode() for key, text in wanted.items()
        }
        if found is None:
            metadata = {"name": name, "namespace": namespace, "labels": {LABEL: "true"}}
            made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
            await self._server.create(made)
            return
        if LABEL not in (found["metadata"].get("labels") or {}):
            raise Refused(
                "SecretNotOurs",
                f"Secret {namespace}/{name} is not Towpath's to write; to let it be, label it {LABEL}=true.",
            )
        version = {"resourceVersion": found["metadata"]["resourceVersion"]}
        await self._server.merge("v1", "Secret", name, namespace, {"metadata": version, "data": data})


def texts(found: dict[str, Any], namespace: str, name: str) -> dict[str, str]:
    """A Secret's texts by key.

    Raises:
        UserFailure: `SecretUnreadable`, one of them is not text.
    """
    decoded: dict[str, str] = {}
    for key, value in (found.get("data") or {}).items():
        try:
            decoded[key] = base64.b64decode(value, validate=True).decode().rstrip("\r\n")
        except ValueError:
            # Without the cause: a decoder's message may quote the value.
            raise UserFailure("SecretUnreadable", f"Key {key} of Secret {namespace}/{name} is not text.") from None
    return decoded
