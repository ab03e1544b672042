"""Whether a scheduled task has been rolled out: its CronJob stands, and a node could pull its image. Pure.

Nothing of the task runs before its time comes, so no more than this can be known; what the runs do later
is not judged here.
"""

from collections.abc import Sequence
from typing import Any

from model.health import CONTAINER, Look, Memory, main_status, runs
from model.rollout import Applied
from model.trouble import of_pod


def judge(
    applied: Applied, cron_job: dict[str, Any] | None, pods: Sequence[dict[str, Any]], now: float, memory: Memory
) -> Look:
    """One look at the CronJob and at the pods of its template, the one that tries the image included."""
    if cron_job is None or cron_job["metadata"].get("uid") != applied.uid:
        message = f"CronJob {applied.name} was deleted or made anew during the rollout; deploy the release again."
        return Look(memory=memory, end=("inconclusive", "CronJobGone", message))
    if not runs(applied, cron_job["spec"]["jobTemplate"]["spec"]["template"]):
        message = f"Somebody changed CronJob {applied.name} during the rollout; deploy the release again."
        return Look(memory=memory, end=("inconclusive", "ChangedUnderneath", message))
    ours = [pod for pod in pods if runs(applied, pod)]
    if any(main_status(pod).get("imageID") for pod in ours):
        message = "The schedule stands and a node has pulled the image; what its runs do is not judged."
        return Look(memory=memory, end=("healthy", "ImagePulled", message))
    troubles = [trouble for trouble in (of_pod(pod, CONTAINER) for pod in ours) if trouble is not None]
    since = {trouble.key: min(now, memory.troubles.get(trouble.key, now)) for trouble in troubles}
    memory = Memory(troubles=since)
    for trouble in troubles:
        if now - since[trouble.key] >= trouble.patience:
            return Look(memory=memory, end=("unhealthy", trouble.reason, trouble.message), trouble=trouble)
    return Look(
        memory=memory,
        waiting_for="No node has pulled the image yet.",
        again_in=min((trouble.patience - (now - since[trouble.key]) for trouble in troubles), default=None),
    )
