"""What a note writes into a component's status.

Three ways in, so that writers do not undo one another: scalars by merge patch (server-side apply would
remove what a manager leaves out the second time), and each entry of `environments` and `conditions` by
server-side apply under a field manager of its own.
"""

from typing import Any

from model.casing import camel_keys
from model.note import EnvironmentNote, Note

_WAITING = ("waiting_release", "waiting_promotion", "waiting_reason")


def scalars(note: Note, present: dict[str, Any]) -> dict[str, Any]:
    """The merge patch of a status; `present` is the status as it is, so that generations only rise."""
    made: dict[str, Any] = {"project": note.component.project}
    seen = present.get("observedGeneration")
    made["observedGeneration"] = max(note.component.generation, seen if isinstance(seen, int) else 0)
    if not _overtaken(note, present):
        made["message"] = note.message
        if note.stage:
            made["stage"] = note.stage[:253]
    if note.build is not None:
        made["build"] = {name: text or None for name, text in note.build.model_dump(mode="json").items()}
    if note.latest_release:
        made["latestRelease"] = {"name": note.latest_release, "image": note.latest_image or None}
    return made


def applied(note: Note, present: dict[str, Any], now: str) -> list[tuple[str, dict[str, Any]]]:
    """Field manager and status for each server-side apply; `now` is RFC 3339."""
    made: list[tuple[str, dict[str, Any]]] = []
    if note.environment is not None:
        entry = _entry(note.environment, waiting=False)
        made.append((f"towpath-lane-{note.environment.name}", {"environments": [entry]}))
    if note.waiting is not None and not _overtaken(note, present):
        entry = _entry(note.waiting, waiting=True)
        made.append((f"towpath-gate-{note.waiting.name}", {"environments": [entry]}))
    if note.ready is not None:
        made.append(("towpath-ready", {"conditions": [_ready(note, present, now)]}))
    return made


def _overtaken(note: Note, present: dict[str, Any]) -> bool:
    """Whether a promotion that waits no longer speaks of a gate at which another one waits by now."""
    if note.waiting is None or note.waiting.waiting_release:
        return False
    environments = present.get("environments") or []
    at_gate = (one.get("waitingPromotion") for one in environments if one.get("name") == note.waiting.name)
    return any(promotion not in (None, "", note.workflow) for promotion in at_gate)


def _entry(environment: EnvironmentNote, waiting: bool) -> dict[str, Any]:
    said = {
        name: value
        for name, value in environment.model_dump(mode="json").items()
        if (name in _WAITING) is waiting and value not in ("", 0)
    }
    made: dict[str, Any] = camel_keys({**said, "name": environment.name})
    return made


def _ready(note: Note, present: dict[str, Any], now: str) -> dict[str, Any]:
    status = "True" if note.ready else "False"
    conditions = present.get("conditions") or []
    before: dict[str, Any] = next((one for one in conditions if one.get("type") == "Ready"), {})
    same = before.get("status") == status and before.get("lastTransitionTime")
    return {
        "type": "Ready",
        "status": status,
        "reason": note.reason,
        "message": note.message[:1024],
        "observedGeneration": note.component.generation,
        "lastTransitionTime": before["lastTransitionTime"] if same else now,
    }
