"""How much a project's environment may use, and what a container gets that does not say."""

from typing import Any

from model.manifests.namespace import environment_labels
from model.rollout import Target

NAME = "towpath"


def resource_quota(target: Target) -> dict[str, Any]:
    """A ResourceQuota that stops runaways; it is made once, and is the operator's to edit from then on."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": NAME, "namespace": target.namespace, "labels": environment_labels(target)},
        "spec": {
            "hard": {
                "pods": "200",
                "requests.cpu": "32",
                "requests.memory": "64Gi",
                "limits.cpu": "128",
                "limits.memory": "128Gi",
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
