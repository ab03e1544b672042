"""What is wrong with a pod or a Deployment, by the signs Kubernetes gives, and how sure that is."""

import re
from typing import Any

from model.value import Value

# Answers of a registry that another try does not change; anything else may be a blip.
_REFUSED = re.compile(r"not found|manifest unknown|unauthori[sz]ed|denied|forbidden|no basic auth", re.IGNORECASE)
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_START = frozenset({"RunContainerError", "StartError", "ContainerCannotRun"})
MESSAGE_LIMIT = 600


class Trouble(Value):
    """A sign that the rollout will not succeed by itself.

    It is certain once it has been there for `patience` seconds without a break. `key` stays the same while
    the trouble is the same. `crashed` asks for the last lines of that pod's container; `runs_again` says
    that they are the run before's.
    """

    key: str
    reason: str
    message: str
    patience: float = 0
    pod: str = ""
    crashed: bool = False
    runs_again: bool = False


def of_pod(pod: dict[str, Any], container: str, restarts_before: int = 0) -> Trouble | None:
    """The worst trouble of one pod, or None. The first `restarts_before` restarts do not count.

    States and reasons: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and the
    kubelet's `pkg/kubelet/images/types.go`, `pkg/kubelet/container/sync_result.go`.
    """
    name, uid = pod["metadata"]["name"], pod["metadata"].get("uid", "")
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Trouble(
                key=f"{uid}/unschedulable",
                reason="Unschedulable",
                message=f"No node can take the pod: {_cut(condition.get('message'))} "
                "Lower its requests or add a node.",
                patience=12,
                pod=name,
            )
    for found in status.get("containerStatuses") or []:
        if found.get("name") == container:
            return _of_container(found, name, uid, restarts_before)
    return None


def _of_container(found: dict[str, Any], pod: str, uid: str, restarts_before: int) -> Trouble | None:
    state = found.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting")
    before = (found.get("lastState") or {}).get("terminated")
    exits = int(found.get("restartCount") or 0) - restarts_before + (1 if ended else 0)
    if waiting and waiting.get("reason") == "CrashLoopBackOff":
        # The kubelet waits before the next restart: the latest exit is no longer in `state`.
        exits = max(exits + 1, 2)
    last = ended or (before if exits > 0 else None)
    if last and last.get("reason") == "OOMKilled":
        return Trouble(
            key=f"{uid}/oom",
            reason="OOMKilled",
            message="The container used more memory than its limit and was killed; raise the limit or use less.",
            pod=pod,
            crashed=True,
            runs_again=bool(state.get("running")),
        )
    if last and last.get("reason") in _START:
        return _cannot_start(last.get("message"), pod, uid)
    if exits >= 2:
        found_out = _crash_loop(last or {}, exits, pod, uid)
        return found_out.model_copy(update={"runs_again": bool(state.get("running"))})
    return _of_waiting(waiting, pod, uid) if waiting else None


def _crash_loop(last: dict[str, Any], exits: int, pod: str, uid: str) -> Trouble:
    code = last.get("exitCode")
    how = "ended" if code is None else f"exited with code {code}"
    why = "; its liveness or startup probe failed or it was told to stop" if code in (137, 143) else ""
    hint = "it must keep running" if code == 0 else "fix what makes it exit"
    return Trouble(
        key=f"{uid}/crash",
        reason="CrashLoop",
        message=f"The container {how}, {exits} times so far{why}: {hint}.",
        pod=pod,
        crashed=True,
    )


def _cannot_start(message: str | None, pod: str, uid: str) -> Trouble:
    return Trouble(
        key=f"{uid}/start",
        reason="RunContainerError",
        message=f"The container cannot be started: {_cut(message)} Check its command and the image.",
        patience=1,
        pod=pod,
    )


def _of_waiting(waiting: dict[str, Any], pod: str, uid: str) -> Trouble | None:
    reason, said = str(waiting.get("reason") or ""), _cut(waiting.get("message"))
    if reason == "InvalidImageName":
        return Trouble(
            key=f"{uid}/image", reason=reason, message=f"The image's name is not valid: {said}", pod=pod
        )
    if reason in _PULL:
        refused = bool(_REFUSED.search(said))
        hint = "Check that it exists and that this cluster may pull it." if refused else "Is the registry up?"
        return Trouble(
            key=f"{uid}/pull",
            reason="ImagePullFailed",
            message=f"The image cannot be pulled: {said} {hint}",
            # A registry that cannot be reached gets time for more tries (the kubelet's after 10, 20 s).
            patience=4 if refused else 35,
            pod=pod,
        )
    if reason in _CONFIG:
        return Trouble(
            key=f"{uid}/config",
            reason="ContainerConfigError",
            message=f"The container cannot be made: {said} Create what is missing in the namespace.",
            # Secrets are often synchronised a moment after the namespace exists.
            patience=6,
            pod=pod,
        )
    if reason in _START:
        return _cannot_start(waiting.get("message"), pod, uid)
    return None


def of_deployment(deployment: dict[str, Any], lacks_pods: bool) -> Trouble | None:
    """What the Deployment's conditions say against it; only to be asked when it has been observed.

    Refused pods count only while pods of the release are lacking and none is on its way: the condition may
    be an older ReplicaSet's, which goes on failing while the new one does well.
    """
    conditions = {
        condition.get("type"): condition for condition in (deployment.get("status") or {}).get("conditions") or []
    }
    failure = conditions.get("ReplicaFailure")
    if lacks_pods and failure and failure.get("status") == "True":
        return _refused_pods(_cut(failure.get("message")))
    progressing = conditions.get("Progressing")
    if progressing and progressing.get("status") == "False":
        return Trouble(
            key="deployment/progress",
            reason="ProgressDeadlineExceeded",
            message=_cut(progressing.get("message")) or "The Deployment makes no progress.",
            # Just after an older template was applied again, the condition may still be the failed one's.
            patience=10,
        )
    return None


def _refused_pods(said: str) -> Trouble:
    if "exceeded quota" in said:
        reason, hint = "QuotaExceeded", "Lower the requests or raise the ResourceQuota."
    elif "violates PodSecurity" in said:
        reason, hint = "PodSecurityViolation", "The namespace enforces Pod Security `restricted`."
    else:
        reason, hint = "PodsRefused", "An admission rule of the cluster refuses the pods."
    return Trouble(key="deployment/refused", reason=reason, message=f"{said} {hint}", patience=5)


def _cut(text: object) -> str:
    """One printable line that ends like a sentence."""
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in str(text or "")).split())[:MESSAGE_LIMIT]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
