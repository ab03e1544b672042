"""Who may talk to whom: nothing by default, then what endpoints and dependencies declare."""

from collections.abc import Iterable
from typing import Any

from model import labels, names
from model.connection import Connection
from model.manifests.metadata import metadata, selector
from model.manifests.namespace import environment_labels
from model.rollout import RolloutRequest, Target
from model.workload import Endpoint

PLANE_NAMESPACE = "towpath-data-plane"
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def default_deny(target: Target) -> dict[str, Any]:
    """Nothing in, nothing out, for every pod of the namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny", "namespace": target.namespace, "labels": environment_labels(target)},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def allow_dns(target: Target) -> dict[str, Any]:
    """Names can be resolved. Port 53 anywhere: cluster DNS may be pods, a cache on the node or a host."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow-dns", "namespace": target.namespace, "labels": environment_labels(target)},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}],
        },
    }


def component_policy(
    request: RolloutRequest, endpoints: tuple[Endpoint, ...], connections: Iterable[Connection]
) -> dict[str, Any]:
    """Callers by each endpoint's visibility, and the way to each declared dependency.

    `project`: the same namespace, and previews of the project that have this environment for neighbours.
    `namespace`: every project of the same control-plane namespace, same
    environment. `internal`: every namespace that Towpath manages. `external`: anywhere. The data plane's
    own worker may always ask the endpoints, since it verifies them.
    """
    spec: dict[str, Any] = {
        "podSelector": {"matchLabels": selector(request.target)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [_ingress(request.target, endpoint) for endpoint in endpoints],
        "egress": [egress(request.target, connection) for connection in connections],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(request),
        # The API server drops an empty list when it stores it, and would take the next one for a change.
        "spec": {key: content for key, content in spec.items() if content},
    }


def _ingress(target: Target, endpoint: Endpoint) -> dict[str, Any]:
    port = {"protocol": protocol(endpoint), "port": endpoint.container_port}
    if "external" in endpoint.visibility:
        return {"ports": [port]}
    peers: list[dict[str, Any]] = [
        {"podSelector": {}},
        {"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: PLANE_NAMESPACE}}},
        {"namespaceSelector": {"matchLabels": _previews(target, "namespace" in endpoint.visibility)}},
    ]
    if "namespace" in endpoint.visibility:
        same = {
            labels.MANAGED_BY: labels.MANAGER,
            labels.NAMESPACE: target.component.key.namespace,
            labels.ENVIRONMENT: target.step.environment,
        }
        peers.append({"namespaceSelector": {"matchLabels": same}})
    if "internal" in endpoint.visibility:
        peers.append({"namespaceSelector": {"matchLabels": {labels.MANAGED_BY: labels.MANAGER}}})
    return {"from": peers, "ports": [port]}


def _previews(target: Target, of_all_projects: bool) -> dict[str, str]:
    """The namespaces of previews that have this environment's components for neighbours."""
    return {
        labels.MANAGED_BY: labels.MANAGER,
        labels.NAMESPACE: target.component.key.namespace,
        labels.NEIGHBOURS: target.step.environment,
        **({} if of_all_projects else {labels.PROJECT: target.component.project}),
    }


def egress(target: Target, connection: Connection) -> dict[str, Any]:
    """The rule that opens the way to a dependency."""
    pods = {
        labels.COMPONENT: connection.component,
        labels.NAMESPACE: target.component.key.namespace,
    }
    peer = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: connection.namespace}},
        "podSelector": {"matchLabels": pods},
    }
    return {"to": [peer], "ports": [{"protocol": connection.protocol, "port": connection.target_port}]}


def protocol(endpoint: Endpoint) -> str:
    """The transport under an endpoint."""
    return "UDP" if endpoint.type == "UDP" else "TCP"


def dependency_namespace(target: Target, project: str) -> str:
    """The data-plane namespace in which a dependency of this component runs: same environment, or that of a
    preview's neighbours."""
    environment = target.step.neighbours or target.step.environment
    return names.data_namespace(target.component.key.namespace, project or target.component.project, environment)
