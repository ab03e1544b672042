"""Whether a rollout is healthy: by generation and digest, for a while, on what was seen. Pure.

Healthy needs every one of these facts; each that is missing keeps the watch waiting until its deadline:
the very Deployment that was applied (uid), its spec observed by its controller, every replica updated,
ready and available and no other left, and as many pods of exactly this template and image, running and
ready, all unchanged for the stability window.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from model import labels
from model.rollout import Applied
from model.trouble import Trouble, of_deployment, of_pod
from model.value import Value
from model.verdict import Health, Observation, Verdict

Object = Mapping[str, Any]
CONTAINER = "main"
LOST_LIMIT = 5


class Memory(Value):
    """What one look at the cluster must know of the looks before it (times: seconds since the epoch).

    `good` is what was good then (which pods, restarts and times of readiness) and `good_since` since when
    it has been just that. `troubles` says since when each trouble has been there. `restarts` holds what
    pods had behind them when first seen in good order: an older release that is applied again finds its
    old pods, whose restarts of last week say nothing about now. `lost` counts how often pods that were all ready
    were so no longer.
    """

    good: tuple[str, ...] = ()
    good_since: float = 0
    troubles: dict[str, float] = {}
    restarts: dict[str, int] = {}
    lost: int = 0

    def begin_anew(self) -> "Memory":
        """The same without a window and without troubles."""
        return Memory(restarts=self.restarts, lost=self.lost)


class Look(Value):
    """What one look came to: an end, or what is waited for. `again_in`: seconds after which time alone
    can change the answer (None: only a change in the cluster can). `unwell`: the release's own pods are seen,
    and are not well, which at the deadline is an answer; anything else that is waited for is none."""

    memory: Memory
    waiting_for: str = ""
    end: tuple[Health, str, str] | None = None
    trouble: Trouble | None = None
    again_in: float | None = None
    unwell: bool = False

    def verdict(self, observations: Sequence[Observation]) -> Verdict | None:
        """The verdict when this look ended the watch."""
        if self.end is None:
            return None
        health, reason, message = self.end
        return Verdict(health=health, reason=reason, message=message, observations=tuple(observations))


def judge(
    applied: Applied, deployment: dict[str, Any] | None, pods: Sequence[dict[str, Any]], now: float, memory: Memory
) -> Look:
    """One look: what the Deployment and its pods say about what was applied."""
    changed = changed_underneath(applied, deployment)
    if changed is not None or deployment is None:
        return Look(memory=memory, end=changed)
    observed = int((deployment.get("status") or {}).get("observedGeneration") or 0)
    if observed < int(deployment["metadata"].get("generation") or 0) or observed < applied.generation:
        return Look(
            memory=memory.begin_anew(), waiting_for="The Deployment's controller has not seen the change yet."
        )
    ours = [pod for pod in pods if is_ours(applied, pod)]
    memory = memory.model_copy(update={"restarts": restarts_behind(ours, memory)})
    troubles = _troubles(deployment, ours, memory)
    if not troubles:
        return _stability(applied, deployment, ours, now, memory)
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


def restarts_behind(pods: Sequence[Object], memory: Memory) -> dict[str, int]:
    """Restarts of each pod that do not count, settled when it is first seen."""
    counts: dict[str, int] = {}
    for pod in pods:
        uid = pod["metadata"]["uid"]
        behind = main_status(pod).get("restartCount") or 0 if is_ready(pod) else 0
        counts[uid] = memory.restarts.get(uid, int(behind))
    return counts


def changed_underneath(applied: Applied, deployment: Object | None) -> tuple[Health, str, str] | None:
    """The end when what is there is not what was applied."""
    if deployment is None:
        return (
            "inconclusive",
            f"{applied.kind}Gone",
            f"{applied.kind} {applied.name} was deleted during the rollout; deploy the release again.",
        )
    if deployment["metadata"].get("uid") != applied.uid:
        return (
            "inconclusive",
            f"{applied.kind}Replaced",
            f"{applied.kind} {applied.name} was deleted and made anew by somebody else during the rollout.",
        )
    template = deployment["spec"]["template"]
    beyond = int(deployment["metadata"].get("generation") or 0) > applied.generation
    emptied = applied.replicas > 0 and deployment["spec"].get("replicas") == 0
    if beyond and (emptied or not runs(applied, template)):
        return (
            "inconclusive",
            "ChangedUnderneath",
            f"Somebody changed {applied.kind} {applied.name} during the rollout: it now has "
            f"{deployment['spec'].get('replicas')} replicas of {image_of(template)[:300]}. "
            "Deploy the release again.",
        )
    return None


def _troubles(deployment: dict[str, Any], pods: Sequence[dict[str, Any]], memory: Memory) -> list[Trouble]:
    found = [of_pod(pod, CONTAINER, memory.restarts[pod["metadata"]["uid"]]) for pod in pods]
    found.append(
        of_deployment(deployment, all(is_ready(pod) for pod in pods) and len(pods) < wanted_replicas(deployment))
    )
    return sorted((trouble for trouble in found if trouble is not None), key=lambda trouble: trouble.patience)


def _stability(applied: Applied, deployment: Object, pods: Sequence[Object], now: float, memory: Memory) -> Look:
    wanted = wanted_replicas(deployment)
    lacking = _lacking(deployment, pods, wanted, applied)
    if lacking:
        return _not_yet(pods, lacking, memory)
    good = tuple(sorted(fingerprint(pod) for pod in pods))
    # A clock that was set back begins the window anew; it never shortens it.
    since = memory.good_since if memory.good_since and memory.good == good and memory.good_since <= now else now
    left = applied.stability_seconds - (now - since)
    kept = memory.begin_anew().model_copy(update={"good": good, "good_since": since})
    if left > 0:
        return Look(memory=kept, waiting_for="The pods are ready; they must stay so.", again_in=left)
    if wanted == 0:
        return Look(memory=kept, end=("healthy", "ScaledToZero", "Nothing runs, as asked: replicas is 0."))
    return Look(
        memory=kept,
        end=(
            "healthy",
            "RolloutStable",
            f"{wanted} of {wanted} pods run this release, ready and without a restart "
            f"for {applied.stability_seconds:g} s.",
        ),
    )


def _not_yet(pods: Sequence[Object], lacking: str, memory: Memory) -> Look:
    """What is waited for; an end when pods were all ready too often, and then again were not."""
    ready = sum(is_ready(pod) for pod in pods)
    lost = memory.lost + (1 if ready < len(memory.good) else 0)
    kept = memory.begin_anew().model_copy(update={"lost": lost})
    if lost >= LOST_LIMIT:
        return Look(
            memory=kept,
            end=(
                "unhealthy",
                "ReadinessFlapping",
                f"The pods were ready {lost} times and did not stay so for the stability window: does the "
                f"readiness check time out under load? {lacking}",
            ),
        )
    return Look(memory=kept, waiting_for=lacking, unwell=ready < len(pods))


def _lacking(deployment: Object, pods: Sequence[Object], wanted: int, applied: Applied) -> str:
    """What is still missing for healthy; empty when nothing is."""
    status = deployment.get("status") or {}
    counts = {
        name: int(status.get(name) or 0)
        for name in ("updatedReplicas", "readyReplicas", "availableReplicas", "replicas")
    }
    if not runs(applied, deployment["spec"]["template"]):
        return "The Deployment does not have this release's template."
    ready = [pod for pod in pods if is_ready(pod)]
    if len(pods) != wanted or len(ready) != wanted:
        return f"{len(ready)} of {wanted} pods are seen running and ready. {unready(pods)}".strip()
    if counts["updatedReplicas"] != wanted:
        return f"{counts['updatedReplicas']} of {wanted} replicas are updated."
    if counts["replicas"] != wanted:
        return f"{counts['replicas'] - wanted} old replicas are still there."
    if counts["readyReplicas"] != wanted or counts["availableReplicas"] != wanted:
        return f"{counts['availableReplicas']} of {wanted} replicas are available."
    return ""


def wanted_replicas(deployment: Object) -> int:
    """How many pods the workload is to have."""
    return int(deployment["spec"].get("replicas", 1))


def unready(pods: Sequence[Object]) -> str:
    """What the first pod that is not ready says of itself."""
    for pod in pods:
        if is_ready(pod):
            continue
        if (main_status(pod).get("state") or {}).get("running"):
            return (
                f"Pod {pod['metadata']['name']} runs and is not ready: does the process listen on the port of its "
                "first endpoint (PORT), on all addresses?"
            )
        said = [
            f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
            for condition in (pod.get("status") or {}).get("conditions") or []
            if condition.get("type") == "Ready" and condition.get("status") != "True"
        ]
        return f"Pod {pod['metadata']['name']}: {'; '.join(said) or 'not ready'}."[:400]
    return ""


def is_ours(applied: Applied, pod: Object) -> bool:
    """A pod of exactly what was applied: not on its way out, not one that was evicted."""
    ending = pod["metadata"].get("deletionTimestamp") or (pod.get("status") or {}).get("phase") == "Failed"
    return not ending and runs(applied, pod)


def runs(applied: Applied, pod: Object) -> bool:
    """Whether a pod or a template is exactly what was applied.

    The image is compared by digest: clusters may rewrite the registry's name to a mirror's. The digest in
    the spec binds the kubelet; `imageID` may name another digest of the same content.
    """
    digest = applied.image.rpartition("@")[2]
    return _spec_hash(pod) == applied.template and image_of(pod).rpartition("@")[2] == digest


def image_of(pod: Object) -> str:
    """The image of the component's own container in a pod or a template; empty when it has none."""
    for container in pod["spec"].get("containers", []):
        if container.get("name") == CONTAINER:
            return str(container.get("image"))
    return ""


def main_status(pod: Object) -> dict[str, Any]:
    """The status of the component's own container (others may have been injected); empty when none."""
    for found in (pod.get("status") or {}).get("containerStatuses") or []:
        if found.get("name") == CONTAINER:
            return dict(found)
    return {}


def is_ready(pod: Object) -> bool:
    """Running, ready, and really made from an image: a kubelet has reported its id."""
    status = pod.get("status") or {}
    ready = any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )
    running = bool((main_status(pod).get("state") or {}).get("running")) and bool(main_status(pod).get("imageID"))
    return ready and running and status.get("phase") == "Running"


def fingerprint(pod: Object) -> str:
    """Which pod, how often restarted, ready since when: the same as long as nothing happens to it."""
    status = pod["status"]
    ready = [c.get("lastTransitionTime") for c in status["conditions"] if c.get("type") == "Ready"]
    return f"{pod['metadata']['uid']} {main_status(pod).get('restartCount')} {ready}"


def _spec_hash(thing: Object) -> str:
    return str((thing.get("metadata") or {}).get("annotations", {}).get(labels.SPEC_HASH, ""))
