"""Which CloudEvent every note is."""

import json

import pytest

from model import told_event
from model.component import Component
from model.key import ComponentKey
from model.note import BuildNote, EnvironmentNote, Note

COMPONENT = Component(key=ComponentKey(name="web"), project="shop")
BUILD = BuildNote(workflow="build/x", commit="c" * 40, phase="running")
PLACE = EnvironmentNote(name="staging", release="web-1", image="r@sha256:1", revision=3, health="Healthy")
WAITING = EnvironmentNote(
    name="production", waiting_release="web-2", waiting_promotion="p", waiting_reason="1 of 2"
)


def kinds(reason: str, **parts: object) -> list[str]:
    note = Note.model_validate({"component": COMPONENT, "reason": reason, "message": "m", **parts})
    return [event.type.removeprefix("dev.towpath.") for event in told_event.events(note, "occasion", "now")]


@pytest.mark.parametrize(
    ("reason", "parts", "expected"),
    [
        ("PushAccepted", {}, ["delivery.accepted"]),
        ("BuildStarted", {"build": BUILD}, ["build.started"]),
        ("BuildFailed", {"build": BUILD}, ["build.ended"]),
        ("BuildSucceeded", {"build": BUILD, "latest_release": "web-1"}, ["build.ended", "release.made"]),
        ("ImageReleased", {"latest_release": "web-1"}, ["release.made"]),
        ("Deploying", {"environment": PLACE}, ["deployment.started"]),
        ("Healthy", {"environment": PLACE}, ["deployment.ended"]),
        ("RolledBack", {"environment": PLACE}, ["deployment.rolledback"]),
        ("AwaitingApproval", {"waiting": WAITING}, ["gate.waiting"]),
        ("GateOpened", {"waiting": EnvironmentNote(name="production")}, ["gate.opened"]),
        ("GateExpired", {"waiting": EnvironmentNote(name="production")}, ["gate.closed"]),
        ("PromotionEnded", {}, ["promotion.ended"]),
        ("SomethingNew", {}, ["component.noted"]),
    ],
)
def test_every_step_has_its_type(reason: str, parts: dict[str, object], expected: list[str]) -> None:
    assert kinds(reason, **parts) == expected
    assert {f"dev.towpath.{kind}" for kind in expected} <= set(told_event.TYPES)


def test_the_same_occasion_gives_the_same_id_and_another_another() -> None:
    note = Note(component=COMPONENT, reason="Healthy", message="m", environment=PLACE)
    one, again, other = (told_event.events(note, occasion, "now")[0].id for occasion in ("a", "a", "b"))
    assert one == again != other


def test_an_event_says_what_it_is_about_and_is_never_large() -> None:
    note = Note(component=COMPONENT, reason="Healthy", message="m" * 100_000, environment=PLACE)
    (event,) = told_event.events(note, "a", "2026-11-21T17:24:00Z")
    document = event.document()
    assert (document["specversion"], document["subject"]) == ("1.0", "default/web")
    assert document["data"]["environment"] == "staging"  # type: ignore[index]
    assert len(json.dumps(document)) < 4096
