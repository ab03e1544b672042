"""What Flux and Argo CD say of a revision."""

from typing import Any

import pytest

from model.reconciled import answer, commit_of

OLD, NEW = "a" * 40, "b" * 40


def kustomization(
    applied: str = "", attempted: str = "", ready: str = "", reason: str = "", progress: str = "", **spec: Any
) -> dict[str, Any]:
    conditions = (
        [{"type": "Ready", "status": ready, "reason": reason, "message": f"because {reason}"}] if ready else []
    )
    if progress:
        conditions.append({"type": "Reconciling", "status": "True", "reason": "Progressing", "message": progress})
    return {
        "spec": spec,
        "status": {
            "conditions": conditions,
            **({"lastAppliedRevision": f"main@sha1:{applied}"} if applied else {}),
            **({"lastAttemptedRevision": f"main@sha1:{attempted}"} if attempted else {}),
        },
    }


@pytest.mark.parametrize(
    ("obj", "known", "state", "revision", "reason"),
    [
        (None, (), "waiting", "", "ControllerMissing"),
        ({}, (), "waiting", "", "NotReconciled"),
        (kustomization(OLD, OLD, "True", "ReconciliationSucceeded"), (), "applied", OLD, "Applied"),
        (kustomization(OLD, OLD, "True", "ReconciliationSucceeded"), (OLD,), "waiting", "", "OlderRevision"),
        (kustomization(OLD, NEW, "Unknown", "Progressing"), (OLD,), "waiting", "", "OlderRevision"),
        (kustomization(OLD, NEW, "False", "BuildFailed"), (OLD,), "failed", NEW, "BuildFailed"),
        (kustomization(OLD, NEW, "False", "HealthCheckFailed"), (), "failed", NEW, "HealthCheckFailed"),
        (kustomization(OLD, OLD, "False", "ArtifactFailed"), (OLD,), "waiting", "", "OlderRevision"),
        (kustomization("", "", "False", "ArtifactFailed"), (), "waiting", "", "ArtifactFailed"),
        (
            kustomization(OLD, NEW, "Unknown", "Progressing", "Running health checks for revision x"),
            (OLD,),
            "applied",
            NEW,
            "Applied",
        ),
        (kustomization(NEW, NEW, "True", "x", suspend=True), (), "waiting", "", "Suspended"),
    ],
)
def test_a_kustomization(obj: Any, known: tuple[str, ...], state: str, revision: str, reason: str) -> None:
    said = answer("Kustomization", obj, known)
    assert (said.state, said.revision, said.reason) == (state, revision, reason)


def application(synced: str, status: str, phase: str = "Succeeded", health: str = "Healthy") -> dict[str, Any]:
    return {
        "status": {
            "sync": {"status": status, "revision": synced},
            "health": {"status": health},
            "operationState": {"phase": phase, "syncResult": {"revision": NEW}, "message": "no such kind"},
        }
    }


@pytest.mark.parametrize(
    ("obj", "known", "state", "revision", "reason"),
    [
        (application(NEW, "Synced"), (OLD,), "applied", NEW, "Applied"),
        (application(OLD, "Synced"), (OLD,), "waiting", "", "OlderRevision"),
        (application(NEW, "OutOfSync"), (), "waiting", "", "OutOfSync"),
        (application(NEW, "Synced", phase="Running"), (), "waiting", "", "Synced"),
        (application(NEW, "OutOfSync", phase="Failed"), (OLD,), "failed", NEW, "SyncFailed"),
        (application(NEW, "Synced", health="Degraded"), (OLD,), "failed", NEW, "Degraded"),
        ({"status": {"sync": {"status": "Synced", "revisions": [NEW]}}}, (), "applied", NEW, "Applied"),
        ({"status": {"sync": {"status": "Synced", "revision": "1.2.3"}}}, (), "waiting", "", "Synced"),
    ],
)
def test_an_application(obj: Any, known: tuple[str, ...], state: str, revision: str, reason: str) -> None:
    said = answer("Application", obj, known)
    assert (said.state, said.revision, said.reason) == (state, revision, reason)


def test_only_commits_are_revisions() -> None:
    assert commit_of(f"main@sha1:{OLD}") == OLD
    assert commit_of(OLD) == OLD
    assert commit_of("6.5.0") == commit_of("") == commit_of("main@sha1:short") == ""
