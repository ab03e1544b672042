"""How the kubelet asks a container whether it has started, serves, and lives."""

import math
from typing import Any

from model.rollout import RolloutRequest
from model.workload import Endpoint


def probes(request: RolloutRequest, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """Startup, readiness and liveness probes on the first endpoint's port; none without a TCP port.

    TCP, unless the workload names a health path: then startup and readiness ask for it. Liveness stays
    TCP, so that a dependency's trouble shown on the health path never restarts the component.
    """
    reachable = [endpoint for endpoint in endpoints if endpoint.type != "UDP"]
    if not reachable:
        return {}
    port = reachable[0].container_port
    connects: dict[str, Any] = {"tcpSocket": {"port": port}}
    path = request.release.workload.health_path
    ready: dict[str, Any] = {"httpGet": {"path": path, "port": port}} if path else connects
    # A slow start is the rollout's deadline to judge; the kubelet must not kill the container before that.
    patience = max(30, math.ceil(request.target.step.policy.deadline_seconds))
    return {
        "startupProbe": {**ready, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": patience},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**connects, "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3},
    }
