"""Kubernetes Events on components: what happened, where people look for it."""

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

from activities.apiserver import ApiServer
from model.failure import Conflict

MESSAGE_LIMIT = 1024


def now() -> str:
    """The time as Kubernetes writes it (RFC 3339, whole seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def generation(obj: dict[str, Any]) -> str:
    """The occasion of what is wrong with a manifest: once for each time it is written."""
    return str(obj["metadata"].get("generation", 0))


async def leave(
    server: ApiServer,
    about: dict[str, Any],
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    occasion: str,
) -> None:
    """Leave an Event on an object. The same `occasion` and reason leave one Event, however often it is tried.

    It is a core/v1 Event, which `kubectl get events --field-selector involvedObject.name=…` and
    `kubectl describe` find.
    """
    metadata = about["metadata"]
    identity = hashlib.sha256(f"{metadata['uid']}\0{reason}\0{occasion}".encode()).hexdigest()[:16]
    at = now()
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][:200]}.{identity}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason[:128],
        "message": message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…",
        "source": {"component": "towpath"},
        "reportingComponent": "towpath.dev/engine",
        "reportingInstance": "towpath",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    try:
        await server.create(event)
    except Conflict as conflict:
        if conflict.reason != "AlreadyExists":
            raise
