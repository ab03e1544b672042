"""The Deployment of a service, web application or worker."""

import math
from collections.abc import Iterable
from typing import Any

from model.connection import Connection
from model.manifests.metadata import metadata, selector
from model.manifests.pod import pod_template
from model.rollout import RolloutRequest
from model.workload import Endpoint


def deployment(
    request: RolloutRequest, endpoints: tuple[Endpoint, ...], connections: Iterable[Connection]
) -> dict[str, Any]:
    """A Deployment that never takes a good pod away before its successor is ready.

    Old ReplicaSets are kept for `kubectl rollout undo`, which people know.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(request),
        "spec": {
            "replicas": request.release.workload.replicas,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": max(10, math.ceil(request.target.step.policy.deadline_seconds)),
            "selector": {"matchLabels": selector(request.target)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": pod_template(request, endpoints, connections),
        },
    }
