"""What a GitOps controller's own object says about a revision: applied, failed, or not yet. Pure.

Sources: Flux, "Kustomization status" (https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status);
Argo CD, `Application` status (https://argo-cd.readthedocs.io/en/stable/operator-manual/architecture/).
"""

import re
from typing import Any

from model.gitops import AppliedAnswer

Object = dict[str, Any]
# Others, such as a source that is not there yet, Flux tries again by itself.
_FAILED = frozenset(
    {"BuildFailed", "HealthCheckFailed", "ReconciliationFailed", "PruneFailed", "InvalidCELExpression"}
)
_CHECKS = "Running health checks"
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_MESSAGE_LIMIT = 600


def answer(kind: str, obj: Object | None, known: tuple[str, ...]) -> AppliedAnswer:
    """What the object says of a revision that is not in `known`; `waiting`, and why, when nothing."""
    if obj is None:
        return AppliedAnswer(
            state="waiting", reason="ControllerMissing", message=f"There is no such {kind}; apply one."
        )
    said = _application(obj) if kind == "Application" else _kustomization(obj)
    if said.state != "waiting" and said.revision in known:
        message = f"It still has {said.revision[:12]}. {said.message}".strip()
        return AppliedAnswer(state="waiting", reason="OlderRevision", message=message)
    return said


def commit_of(revision: str) -> str:
    """The commit of `main@sha1:<id>` or a bare id; empty for anything else, such as a chart's version."""
    commit = revision.rpartition(":")[2]
    return commit if _COMMIT.fullmatch(commit) else ""


def _kustomization(obj: Object) -> AppliedAnswer:
    status = obj.get("status") or {}
    conditions = {found.get("type"): found for found in status.get("conditions") or []}
    ready, progress = conditions.get("Ready") or {}, conditions.get("Reconciling") or {}
    applied = commit_of(str(status.get("lastAppliedRevision") or ""))
    attempted = commit_of(str(status.get("lastAttemptedRevision") or ""))
    reason, message = str(ready.get("reason") or ""), str(ready.get("message") or "")[:_MESSAGE_LIMIT]
    if (obj.get("spec") or {}).get("suspend"):
        return AppliedAnswer(
            state="waiting", reason="Suspended", message="The Kustomization is suspended; resume it."
        )
    if ready.get("status") == "False" and reason in _FAILED and attempted:
        return AppliedAnswer(state="failed", revision=attempted, reason=reason, message=message)
    if attempted and str(progress.get("message") or "").startswith(_CHECKS):
        # All is applied, and Flux looks at its health; so does the engine, and more closely.
        return AppliedAnswer(state="applied", revision=attempted, reason="Applied", message="Flux has applied it.")
    if applied:
        return AppliedAnswer(state="applied", revision=applied, reason="Applied", message=message)
    return AppliedAnswer(state="waiting", reason=reason or "NotReconciled", message=message)


def _application(obj: Object) -> AppliedAnswer:
    status = obj.get("status") or {}
    sync, operation = status.get("sync") or {}, status.get("operationState") or {}
    health = status.get("health") or {}
    result = operation.get("syncResult") or {}
    synced = commit_of(str(sync.get("revision") or next(iter(sync.get("revisions") or []), "")))
    attempted = commit_of(str(result.get("revision") or next(iter(result.get("revisions") or []), "")))
    message = str(operation.get("message") or health.get("message") or "")[:_MESSAGE_LIMIT]
    if operation.get("phase") in ("Failed", "Error") and attempted:
        return AppliedAnswer(state="failed", revision=attempted, reason="SyncFailed", message=message)
    if sync.get("status") == "Synced" and synced and operation.get("phase", "Succeeded") == "Succeeded":
        if health.get("status") == "Degraded":
            return AppliedAnswer(state="failed", revision=synced, reason="Degraded", message=message)
        return AppliedAnswer(state="applied", revision=synced, reason="Applied", message=message)
    return AppliedAnswer(state="waiting", reason=str(sync.get("status") or "NotReconciled"), message=message)
