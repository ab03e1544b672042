"""What a watch has seen, and what differs from it after another list."""

from typing import Any, Literal, NamedTuple

_KEPT = ("name", "namespace", "uid", "resourceVersion", "generation", "labels", "annotations")


class Change(NamedTuple):
    """One change seen by a watch. `SYNCED` (with an empty object) follows each complete list."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "SYNCED"]
    object: dict[str, Any]


class Seen:
    """The objects a watch knows of, metadata only, so that long watches stay small."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def listed(self, objects: list[dict[str, Any]]) -> list[Change]:
        """What a complete list says that was not known: deletions first, holding metadata only."""
        changes: list[Change] = []
        now = {_identity(obj): obj for obj in objects}
        for identity, before in list(self._known.items()):
            after = now.get(identity)
            if after is None or after["metadata"]["uid"] != before["metadata"]["uid"]:
                del self._known[identity]
                changes.append(Change("DELETED", before))
        for identity, obj in now.items():
            known = self._known.get(identity)
            if known is None:
                changes.append(Change("ADDED", obj))
            elif known["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                changes.append(Change("MODIFIED", obj))
            self._known[identity] = _slim(obj)
        return changes

    def event(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], obj: dict[str, Any]) -> Change:
        """Take in one event of the stream."""
        if kind == "DELETED":
            self._known.pop(_identity(obj), None)
        else:
            self._known[_identity(obj)] = _slim(obj)
        return Change(kind, obj)


def _identity(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _slim(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]}
    return {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", ""), "metadata": metadata}
