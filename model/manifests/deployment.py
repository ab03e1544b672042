"""The Deployment of a service, web application or worker."""

import math
from collections.abc import Iterable
from typing import Any

from model.connection import Connection
from model.manifests.metadata import metadata, selector
from model.manifests.pod import pod_template
from model.rollout import RolloutRequest
from model.strategy import quantity
from model.workload import Endpoint


def deployment(
    request: RolloutRequest, endpoints: tuple[Endpoint, ...], connections: Iterable[Connection]
) -> dict[str, Any]:
    """A Deployment that, unless a policy says otherwise, takes no good pod away before its successor is ready.

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
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _limits(request)},
            "template": pod_template(request, endpoints, connections),
        },
    }


def _limits(request: RolloutRequest) -> dict[str, Any]:
    strategy = request.target.step.policy.strategy
    if strategy is None:
        return {"maxUnavailable": 0, "maxSurge": 1}
    return {"maxUnavailable": quantity(strategy.max_unavailable), "maxSurge": quantity(strategy.max_surge)}
