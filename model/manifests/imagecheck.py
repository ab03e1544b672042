"""A pod that makes a node pull a scheduled task's image without running the task."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from model import names
from model.rollout import Applied

# No image has it: the kubelet pulls the image, makes the container, and cannot start it.
_COMMAND = "/towpath-image-check"


def check_name(applied: Applied) -> str:
    """Name of the pod; the same rollout always gets the same."""
    return f"{applied.name}-image-{names.short_hash(applied.uid, applied.template)}"


def image_check(applied: Applied, cron_job: Mapping[str, Any]) -> dict[str, Any]:
    """The pod: the task's own template, so that what the task would lack this one lacks too. It belongs to
    the CronJob and goes with it."""
    template = deepcopy(cron_job["spec"]["jobTemplate"]["spec"]["template"])
    spec = template["spec"]
    spec["restartPolicy"] = "Never"
    spec["activeDeadlineSeconds"] = 3600
    for container in spec["containers"]:
        container["command"] = [_COMMAND]
        container.pop("args", None)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": check_name(applied),
            "namespace": applied.namespace,
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "CronJob", "name": applied.name, "uid": applied.uid}
            ],
        },
        "spec": spec,
    }
