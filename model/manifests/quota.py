"""How much a project's environment may use, and what a container gets that does not say."""

from typing import Any

from model.manifests.namespace import environment_labels
from model.rollout import Target

NAME = "towpath"


def resource_quota(target: Target) -> dict[str, Any]:
    """A ResourceQuota that stops runaways; it is made once, and is the operator's to edit from then on.

    A preview is one component, and gets a tenth.
    """
    share = 10 if target.step.preview else 1
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": NAME, "namespace": target.namespace, "labels": environment_labels(target)},
        "spec": {
            "hard": {
                "pods": str(200 // share),
                "requests.cpu": str(32 // share),
                "requests.memory": f"{64 // share}Gi",
                "limits.cpu": str(128 // share),
                "limits.memory": f"{128 // share}Gi",
                "services.nodeports": "0",
                "services.loadbalancers": "0",
            }
        },
    }


def limit_range(target: Target) -> dict[str, Any]:
    """A LimitRange: defaults for containers, so that the quota never refuses one that is silent."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": NAME, "namespace": target.namespace, "labels": environment_labels(target)},
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "256Mi"},
                    "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
                }
            ]
        },
    }
