"""What an Argo Workflow's status says: over or not, whose fault, and what came out. Pure."""

import re
from datetime import datetime
from typing import Any, Literal, NamedTuple

from model.image import is_digest
from model.value import Value

FINISHED = frozenset({"Succeeded", "Failed", "Error"})
MESSAGE_LIMIT = 1500
# The builder's exit codes, see deploy/builder/refusal.py.
_USER_CODES = range(10, 20)
# `main: Error (exit code 10): NpmFailed: npm ci failed: …`, as the controller writes it.
_EXIT = re.compile(r"(?:\w[\w-]*: )?(?P<why>\w+) \(exit code (?P<code>\d+)\)(?:: (?P<told>.*))?", re.DOTALL)
_TOLD = re.compile(r"(?P<reason>[A-Z][A-Za-z0-9]{2,60}): (?P<message>.+)", re.DOTALL)
_STOPPED = re.compile(r"[Ss]topped with strategy|workflow shutdown with strategy")
_DEADLINE = re.compile(r"exceeded its deadline|specified deadline|DeadlineExceeded|max duration limit", re.I)
_PULL = re.compile(r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull")
_CANNOT_START = re.compile(r"CreateContainerConfigError|CreateContainerError|CreatePodSandbox|RunContainerError")
_UNSCHEDULABLE = re.compile(r"Unschedulable|Insufficient |nodes are available")
_EVICTED = re.compile(r"[Ee]victed|low on resource|Preempt", re.IGNORECASE)
_GONE = re.compile(r"pod deleted|[Nn]ode(Lost| is shutting down)|Pod was terminated|imminent node shutdown")


class Fault(NamedTuple):
    """Why a build did not succeed, and whose failure it is."""

    phase: Literal["failed", "cancelled"]
    fault: Literal["", "user", "infrastructure"]
    reason: str
    message: str


class Waiting(NamedTuple):
    """A build that does not get going: why, and how long (seconds) that is bearable."""

    reason: str
    message: str
    patience: float


class Outcome(Value):
    """What a finished build handed out."""

    digest: str = ""
    workload: str = ""


def phase(workflow: dict[str, Any]) -> str:
    """`Pending`, `Running`, `Succeeded`, `Failed`, `Error`, or empty while the controller has not seen it."""
    return str((workflow.get("status") or {}).get("phase") or "")


def is_finished(workflow: dict[str, Any]) -> bool:
    """Whether nothing of it runs any more."""
    return phase(workflow) in FINISHED


def has_begun(workflow: dict[str, Any]) -> bool:
    """Whether its container runs or has run, as far as Argo has noticed."""
    return _node(workflow).get("phase") not in (None, "Pending")


def has_delivered(workflow: dict[str, Any]) -> bool:
    """Whether the build has handed out its digest, the last thing it does when all went well.

    Argo's own bookkeeping (its sidecar's end, the pod's, the workflow's) takes two more seconds.
    """
    return phase(workflow) not in ("Failed", "Error") and is_digest(outcome(workflow).digest)


def outcome(workflow: dict[str, Any]) -> Outcome:
    """The output parameters of the build's node; empty texts where there are none."""
    parameters = (_node(workflow).get("outputs") or {}).get("parameters") or []
    values = {str(each.get("name")): str(each.get("value") or "") for each in parameters}
    return Outcome(digest=values.get("digest", "").strip(), workload=values.get("workload", ""))


def times(workflow: dict[str, Any]) -> tuple[float, float]:
    """Start and end in seconds since the epoch; 0 where there is none."""
    status = workflow.get("status") or {}
    return _seconds(status.get("startedAt")), _seconds(status.get("finishedAt"))


def waiting(workflow: dict[str, Any]) -> Waiting | None:
    """What keeps a build from starting, if it is more than waiting its turn."""
    node = _node(workflow)
    message = _cut(node.get("message"))
    if node.get("phase") != "Pending" or not message:
        return None
    if _PULL.search(message):
        return Waiting("BuilderImageMissing", f"The builder image cannot be pulled: {message}", 60)
    if _CANNOT_START.search(message):
        return Waiting(
            "BuilderCannotStart",
            f"The builder cannot start: {message}. Are its seccomp profile on the node and its secret there?",
            30,
        )
    if _UNSCHEDULABLE.search(message):
        return Waiting("Unschedulable", f"No node can take the build: {message}", 300)
    return None


def fault(workflow: dict[str, Any]) -> Fault:
    """Why a finished build did not succeed.

    The user's own failures have the builder's exit codes; what the container runtime or the node did to
    the build is the infrastructure's.
    """
    node = _node(workflow)
    status = workflow.get("status") or {}
    message = _cut(node.get("message") or status.get("message"))
    asked = str((workflow.get("spec") or {}).get("shutdown") or "")
    if asked or _STOPPED.search(message):
        return Fault("cancelled", "", "Stopped", "The build was stopped.")
    if _DEADLINE.search(message):
        return Fault(
            "failed",
            "user",
            "BuildTimeout",
            f"The build took longer than it may ({message}); raise its timeout or make it quicker.",
        )
    if found := _EXIT.fullmatch(message):
        return _by_exit(found["why"], int(found["code"]), _cut(found["told"]))
    for pattern, reason in ((_PULL, "BuilderImageMissing"), (_EVICTED, "Evicted"), (_GONE, "PodGone")):
        if pattern.search(message):
            return Fault("failed", "infrastructure", reason, message)
    return Fault("failed", "infrastructure", "BuildError", message or "Argo says nothing about why.")


def _by_exit(why: str, code: int, told: str) -> Fault:
    if why == "OOMKilled":
        message = "The build needs more memory than builds may have on this plane."
        return Fault("failed", "infrastructure", "OOMKilled", message)
    matched = _TOLD.fullmatch(told)
    reason, message = (matched["reason"], matched["message"]) if matched else ("", told)
    if code in _USER_CODES:
        return Fault("failed", "user", reason or "BuildFailed", message or f"The build ended with code {code}.")
    return Fault(
        "failed", "infrastructure", reason or "BuilderFailed", message or f"The builder ended with code {code}."
    )


def _node(workflow: dict[str, Any]) -> dict[str, Any]:
    """The one node of a build: the pod, which has the workflow's own name."""
    nodes = (workflow.get("status") or {}).get("nodes") or {}
    name = workflow["metadata"]["name"]
    found: Any = nodes.get(name) or next((node for node in nodes.values() if node.get("type") == "Pod"), {})
    return found if isinstance(found, dict) else {}


def _seconds(text: Any) -> float:
    if not text:
        return 0
    return datetime.fromisoformat(str(text)).timestamp()


def _cut(text: Any) -> str:
    return " ".join(str(text or "").split())[:MESSAGE_LIMIT]
