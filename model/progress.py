"""How far an Argo Rollout is, judged like a Deployment: by what is seen, for a while. Pure.

Its controller shifts traffic and waits at stops; whether it may go on is never its decision. What people
or the controller itself did to it (abort, promote) is seen here, so that the lane and the cluster agree.
Fields: https://argo-rollouts.readthedocs.io/en/stable/features/specification/
"""

from collections.abc import Sequence
from typing import Any

from model import health
from model.health import CONTAINER, Look, Memory
from model.rollout import Applied
from model.strategy import pause_index
from model.trouble import Trouble, of_deployment, of_pod

Object = dict[str, Any]
HASH = "rollouts-pod-template-hash"
_CONTROLLER = "The controller of Argo Rollouts"


def judge(applied: Applied, rollout: Object | None, pods: Sequence[Object], now: float, memory: Memory) -> Look:
    """One look: whether the stop (or the end) has been reached and has been so for the stability window."""
    changed = health.changed_underneath(applied, rollout)
    if changed is not None or rollout is None:
        return Look(memory=memory, end=changed)
    if not has_observed(rollout, applied.generation):
        return Look(
            memory=memory.begin_anew(), waiting_for=f"{_CONTROLLER} has not seen the change yet; does it run?"
        )
    status = rollout.get("status") or {}
    if status.get("abort"):
        said = str(status.get("message") or "it does not say why")[:400]
        message = f"The rollout was aborted by its controller or around Towpath: {said.rstrip('.')}."
        return Look(memory=memory, end=("unhealthy", "RolloutAborted", message))
    ours = [pod for pod in pods if health.is_ours(applied, pod)]
    memory = memory.model_copy(update={"restarts": health.restarts_behind(ours, memory)})
    found = _troubles(rollout, ours, memory)
    if found:
        return _troubled(found, now, memory)
    ahead = _stepped_past(applied, rollout)
    if ahead:
        return Look(memory=memory, end=("inconclusive", "SteppedPast", ahead))
    lacking = _lacking(applied, rollout, ours)
    if lacking or applied.guard:
        return Look(
            memory=memory.begin_anew(),
            waiting_for=lacking or "The pods are ready; the rollout waits.",
            unwell=any(not health.is_ready(pod) for pod in ours),
        )
    return _stability(applied, rollout, ours, now, memory)


def has_observed(rollout: Object, generation: int) -> bool:
    """Whether the controller's status speaks of this generation and of the present one."""
    seen = str((rollout.get("status") or {}).get("observedGeneration") or "0")
    observed = int(seen) if seen.isascii() and seen.isdigit() else 0
    return observed >= max(generation, int(rollout["metadata"].get("generation") or 0))


def is_complete(rollout: Object) -> bool:
    """Whether the present template has taken over for good."""
    status = rollout.get("status") or {}
    current = status.get("currentPodHash")
    if not current or current != status.get("stableRS") or status.get("abort"):
        return False
    switched = (status.get("blueGreen") or {}).get("activeSelector") == current
    return switched or "blueGreen" not in rollout["spec"]["strategy"]


def is_at(rollout: Object, stop: int) -> bool:
    """Whether the controller waits at this stop."""
    status = rollout.get("status") or {}
    reasons = {condition.get("reason") for condition in status.get("pauseConditions") or []}
    if "blueGreen" in rollout["spec"]["strategy"]:
        return "BlueGreenPause" in reasons
    return "CanaryPauseStep" in reasons and status.get("currentStepIndex") == pause_index(stop)


def _stepped_past(applied: Applied, rollout: Object) -> str:
    """What somebody else did with a rollout that was to wait for us; empty when nobody did."""
    if applied.stop < 0:
        return ""
    status = rollout.get("status") or {}
    index = status.get("currentStepIndex") or 0
    beyond = "canary" in rollout["spec"]["strategy"] and index > pause_index(applied.stop)
    left = applied.guard and not is_at(rollout, applied.stop)
    # A first deployment has no stops, and going to what is stable already has none either.
    if (beyond and not is_complete(rollout)) or left or (is_complete(rollout) and applied.guard):
        return (
            f"Somebody promoted Rollout {applied.name} around Towpath before it was verified. "
            "Use `towpath proceed`, which asks the lane."
        )
    return ""


def _troubles(rollout: Object, pods: Sequence[Object], memory: Memory) -> list[Trouble]:
    found = [of_pod(pod, CONTAINER, memory.restarts[pod["metadata"]["uid"]]) for pod in pods]
    found.append(of_deployment(rollout, not pods and health.wanted_replicas(rollout) > 0))
    for condition in (rollout.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "InvalidSpec" and condition.get("status") == "True":
            said = str(condition.get("message") or "no reason given")[:400]
            found.append(
                Trouble(
                    key="rollout/invalid",
                    reason="InvalidRollout",
                    message=f"Argo Rollouts refuses it: {said}",
                    # Just after it was made, its Services may not have been seen yet.
                    patience=5,
                )
            )
    return sorted((trouble for trouble in found if trouble is not None), key=lambda trouble: trouble.patience)


def _troubled(troubles: list[Trouble], now: float, memory: Memory) -> Look:
    since = {trouble.key: min(now, memory.troubles.get(trouble.key, now)) for trouble in troubles}
    memory = memory.begin_anew().model_copy(update={"troubles": since})
    for trouble in troubles:
        if now - since[trouble.key] >= trouble.patience:
            return Look(memory=memory, end=("unhealthy", trouble.reason, trouble.message), trouble=trouble)
    return Look(
        memory=memory,
        waiting_for=f"{troubles[0].reason}: {troubles[0].message}",
        again_in=min(trouble.patience - (now - since[trouble.key]) for trouble in troubles),
        unwell=True,
    )


def _lacking(applied: Applied, rollout: Object, pods: Sequence[Object]) -> str:
    """What is still missing at the stop or the end; empty when nothing is."""
    status = rollout.get("status") or {}
    current, wanted = str(status.get("currentPodHash") or ""), health.wanted_replicas(rollout)
    if not health.runs(applied, rollout["spec"]["template"]):
        return "The Rollout does not have this release's template."
    ready = [pod for pod in pods if health.is_ready(pod)]
    if any(pod["metadata"].get("labels", {}).get(HASH) != current for pod in pods):
        return f"{_CONTROLLER} does not speak of this release yet."
    if is_complete(rollout):
        if len(pods) != wanted or len(ready) != wanted:
            return f"{len(ready)} of {wanted} pods are seen running and ready. {health.unready(pods)}".strip()
        if "canary" in rollout["spec"]["strategy"] and int(status.get("replicas") or 0) != wanted:
            return f"{int(status.get('replicas') or 0) - wanted} old replicas are still there."
        return ""
    if applied.stop >= 0 and is_at(rollout, applied.stop):
        if (wanted and not pods) or len(ready) != len(pods):
            return (
                f"{len(ready)} of {len(pods)} new pods are seen running and ready. {health.unready(pods)}".strip()
            )
        return ""
    said = str(status.get("message") or "")[:200]
    phase = f"{status.get('phase') or 'Progressing'}{f' ({said})' if said else ''}"
    return f"The rollout is {phase}. {health.unready(pods)}".strip()


def _stability(applied: Applied, rollout: Object, pods: Sequence[Object], now: float, memory: Memory) -> Look:
    good = tuple(sorted(health.fingerprint(pod) for pod in pods))
    since = memory.good_since if memory.good_since and memory.good == good and memory.good_since <= now else now
    left = applied.stability_seconds - (now - since)
    kept = memory.begin_anew().model_copy(update={"good": good, "good_since": since})
    if left > 0:
        return Look(memory=kept, waiting_for="The pods are ready; they must stay so.", again_in=left)
    lasting = f"ready and without a restart for {applied.stability_seconds:g} s"
    if is_complete(rollout):
        message = f"{len(pods)} of {len(pods)} pods run this release, {lasting}."
        if not pods:
            return Look(memory=kept, end=("healthy", "ScaledToZero", "Nothing runs, as asked: replicas is 0."))
        return Look(memory=kept, end=("healthy", "RolloutStable", message))
    total = int((rollout.get("status") or {}).get("replicas") or 0)
    beside = max(0, total - len(pods))
    message = f"{len(pods)} new pods stand beside {beside} of the release before, {lasting}."
    return Look(memory=kept, end=("healthy", "StopReached", message))
