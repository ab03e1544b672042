"""The pod of a component, as Pod Security `restricted` and a good neighbour want it."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from model import labels, names, scraping
from model.connection import Connection
from model.manifests.configuration import mounts, volumes
from model.manifests.environment import environment
from model.manifests.metadata import component_labels
from model.manifests.probes import probes
from model.rollout import RolloutRequest
from model.workload import Endpoint

CONTAINER = "main"
USER = 10001
GRACE_SECONDS = 10


def pod_template(
    request: RolloutRequest,
    endpoints: tuple[Endpoint, ...],
    connections: Iterable[Connection],
    restart: str = "Always",
) -> dict[str, Any]:
    """The template. It depends on the release and the rules only, never on the revision: going back to
    an older release gives its old template to the letter, so that Kubernetes finds the old pods.

    The annotation `towpath.dev/spec-hash` is a hash over all of it; by that, pods are told apart.
    """
    template: dict[str, Any] = {
        "metadata": {
            "labels": {**component_labels(request.target), labels.RELEASE: request.release.name},
            "annotations": {
                labels.COMMIT: request.release.commit.id,
                **scraping.annotations(request.release.workload.metrics, endpoints),
            },
        },
        "spec": {
            "serviceAccountName": names.workload(request.target.component.key.name),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": _pod_security(endpoints),
            "containers": [_container(request, endpoints, connections)],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}}, *volumes(request)],
        },
    }
    content = json.dumps(template, sort_keys=True, separators=(",", ":"))
    template["metadata"]["annotations"][labels.SPEC_HASH] = hashlib.sha256(content.encode()).hexdigest()[:16]
    return template


def _container(
    request: RolloutRequest, endpoints: tuple[Endpoint, ...], connections: Iterable[Connection]
) -> dict[str, Any]:
    workload = request.release.workload
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": request.release.image.reference,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(request, endpoints, connections),
        "resources": {
            "requests": {"cpu": workload.cpu_request, "memory": workload.memory_request},
            "limits": {"cpu": workload.cpu_limit, "memory": workload.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts(request)],  # noqa: S108
        **probes(request, endpoints),
    }
    if workload.command:
        container["command"] = list(workload.command)
    if workload.args:
        container["args"] = list(workload.args)
    if endpoints:
        container["ports"] = _ports(endpoints)
    return container


def _ports(endpoints: tuple[Endpoint, ...]) -> list[dict[str, Any]]:
    # Several endpoints may share a container port, which a container may list only once.
    distinct = {(endpoint.container_port, "UDP" if endpoint.type == "UDP" else "TCP") for endpoint in endpoints}
    return [{"containerPort": port, "protocol": transport} for port, transport in sorted(distinct)]


def _pod_security(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    security: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if any(endpoint.container_port < 1024 for endpoint in endpoints):
        # A safe sysctl that `restricted` allows: whoever listens on port 80 need not be root for it.
        security["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return security
