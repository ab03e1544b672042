"""What a note says to programs: every step that people are told of is a CloudEvent too."""

import hashlib
from collections.abc import Iterable

from model.cloudevent import PREFIX, CloudEvent
from model.component import Component
from model.note import Note
from model.value import Value

SOURCE = "/towpath"
TEXT_LIMIT = 1000

# By the stable reasons that the workflows give. What is not here is told as `component.noted`.
_BUILDS = {
    "BuildStarted": "build.started",
    "BuildRetried": "build.retried",
    "BuildSucceeded": "build.ended",
    "BuildFailed": "build.ended",
    "BuildSuperseded": "build.ended",
    "BuildCancelled": "build.ended",
}
_DEPLOYMENTS = {
    "Deploying": "deployment.started",
    "Healthy": "deployment.ended",
    "DeployFailed": "deployment.ended",
    "NotDeployed": "deployment.ended",
    "Undecided": "deployment.ended",
    "Preempted": "deployment.ended",
    "RolledBack": "deployment.rolledback",
    "RolledBackByPerson": "deployment.rolledback",
    "RollbackFailed": "deployment.rolledback",
}
_GATES = {"GateOpened": "gate.opened", "Overridden": "gate.overridden"}
_OTHERS = {
    "PushAccepted": "delivery.accepted",
    "PromotionEnded": "promotion.ended",
    "ImageReleased": "release.made",
    "ReleaseMade": "release.made",
}
NOTED = "component.noted"
TYPES: tuple[str, ...] = tuple(
    sorted(
        {
            f"{PREFIX}{kind}"
            for kind in (
                *_BUILDS.values(),
                *_DEPLOYMENTS.values(),
                *_GATES.values(),
                *_OTHERS.values(),
                "gate.waiting",
                "gate.closed",
                NOTED,
            )
        }
    )
)
"""Every type that is ever sent."""


class Announcement(Value):
    """What only programs are told: notes of which nothing is written on a component."""

    notes: tuple[Note, ...]


def announcement(components: Iterable[Component], reason: str, message: str, workflow: str) -> Announcement:
    """The same for several components, with as much of each as is told."""
    return Announcement(
        notes=tuple(
            Note(
                component=Component(key=each.key, project=each.project),
                reason=reason,
                message=message,
                workflow=workflow,
            )
            for each in components
        )
    )


def events(note: Note, occasion: str, time: str) -> tuple[CloudEvent, ...]:
    """The events that a note is: one, and the release that a build has made is another.

    Args:
        note: what is told.
        occasion: what tells this telling from others; the same occasion gives the same ids.
        time: when, in RFC 3339.
    """
    kinds = [_kind(note)]
    if note.reason == "BuildSucceeded" and note.latest_release:
        kinds.append(_OTHERS["ReleaseMade"])
    return tuple(_event(note, kind, occasion, time) for kind in kinds)


def _kind(note: Note) -> str:
    if note.build is not None:
        return _BUILDS.get(note.reason, NOTED)
    if note.environment is not None:
        return _DEPLOYMENTS.get(note.reason, NOTED)
    if note.waiting is not None and note.reason not in _GATES:
        return "gate.waiting" if note.waiting.waiting_release else "gate.closed"
    return _GATES.get(note.reason) or _OTHERS.get(note.reason) or NOTED


def _event(note: Note, kind: str, occasion: str, time: str) -> CloudEvent:
    key = note.component.key
    return CloudEvent(
        id=hashlib.sha256(f"{occasion}\0{key}\0{note.reason}\0{kind}".encode()).hexdigest()[:32],
        type=f"{PREFIX}{kind}",
        source=SOURCE,
        subject=str(key),
        time=time,
        project=note.component.project,
        data={name: value for name, value in _data(note).items() if value},
    )


def _data(note: Note) -> dict[str, str | int]:
    key, place = note.component.key, note.environment or note.waiting
    build = note.build
    return {
        "namespace": key.namespace,
        "project": note.component.project,
        "component": key.name,
        "reason": note.reason[:128],
        "message": note.message[:TEXT_LIMIT],
        "severity": "warning" if note.type == "Warning" else "info",
        "workflow": note.workflow[:TEXT_LIMIT],
        "commit": (build.commit if build else place.commit if place else "")[:64],
        "phase": build.phase if build else "",
        "environment": place.name if place else "",
        "release": (note.latest_release or (place.waiting_release or place.release if place else ""))[:253],
        "image": (note.latest_image or (place.image if place else ""))[:512],
        "revision": place.revision if place else 0,
        "health": note.environment.health if note.environment else "",
    }
