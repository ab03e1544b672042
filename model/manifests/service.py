"""The stable address of a component in its namespace."""

from typing import Any

from model import names
from model.manifests.metadata import metadata, selector
from model.manifests.network import protocol
from model.rollout import RolloutRequest
from model.workload import Endpoint

# https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
_APPLICATION = {
    "HTTP": "http",
    "GraphQL": "http",
    "Websocket": "kubernetes.io/ws",
    "gRPC": "kubernetes.io/h2c",
}


def service(request: RolloutRequest, endpoints: tuple[Endpoint, ...], name: str = "") -> dict[str, Any]:
    """A ClusterIP Service with one port an endpoint, named as the endpoint; by default the component's own."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(request, name),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(request.target),
            "ports": [_port(endpoint) for endpoint in endpoints],
        },
    }


def port_name(endpoint: str) -> str:
    """The Service port's name for an endpoint's name."""
    return names.label_value(endpoint)


def _port(endpoint: Endpoint) -> dict[str, Any]:
    port: dict[str, Any] = {
        "name": port_name(endpoint.name),
        "port": endpoint.port,
        "targetPort": endpoint.container_port,
        "protocol": protocol(endpoint),
    }
    if endpoint.type in _APPLICATION:
        port["appProtocol"] = _APPLICATION[endpoint.type]
    return port
