"""What pods keep of their past: their last restart, and since when they have been ready. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from model.health import CONTAINER
from model.soak import Steadiness, SteadinessQuestion

Pod = Mapping[str, Any]


def judge(pods: Sequence[Pod], question: SteadinessQuestion) -> Steadiness:
    """Whether the pods of the digest have been well since the moment asked about, or since when they are.

    A restart is a container's, or a readiness that was lost by a pod older than the moment: a pod that is
    newer (scaled up, moved to another node) was never ready before and has lost nothing. A release that
    keeps no pods running (a scheduled task) is left to the lane's word.
    """
    mine = [pod for pod in pods if _serves(pod) and _image(pod).endswith(question.digest)]
    if not mine:
        if not question.pods:
            return Steadiness(steady=True, since=question.since, reason="NoPods")
        return _not_well("NoPods", "No pod of this release runs there.")
    since, reason, message = question.since, "Steady", ""
    for pod in mine:
        name = pod["metadata"]["name"]
        ready = _ready(pod)
        if ready is None:
            return _not_well("PodNotReady", f"Pod {name} is not ready.")
        restarted = _restarted(pod)
        if restarted > since:
            since, reason, message = restarted, "Restarted", f"Pod {name} was restarted."
        if _time(pod["metadata"].get("creationTimestamp")) <= question.since and ready > since:
            since, reason, message = ready, "CheckFailed", f"Pod {name} was not ready for a while."
    return Steadiness(steady=True, since=since, reason=reason, message=message)


def _not_well(reason: str, message: str) -> Steadiness:
    return Steadiness(steady=False, since=0, reason=reason, message=message)


def _serves(pod: Pod) -> bool:
    """A pod of a Deployment or Rollout that is not on its way out."""
    owners = pod["metadata"].get("ownerReferences") or []
    return "deletionTimestamp" not in pod["metadata"] and any(owner["kind"] == "ReplicaSet" for owner in owners)


def _image(pod: Pod) -> str:
    containers = (pod.get("spec") or {}).get("containers") or []
    return next((str(each.get("image", "")) for each in containers if each.get("name") == CONTAINER), "")


def _ready(pod: Pod) -> float | None:
    """Since when it has been ready; None when it is not."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return _time(condition.get("lastTransitionTime"))
    return None


def _restarted(pod: Pod) -> float:
    """When a container was last started again; 0 when none was."""
    last = 0.0
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        running = (status.get("state") or {}).get("running") or {}
        if status.get("restartCount"):
            last = max(last, _time(running.get("startedAt")))
    return last


def _time(text: object) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else 0.0
