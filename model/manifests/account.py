"""The identity of a component's pods."""

from typing import Any

from model.manifests.metadata import metadata
from model.rollout import RolloutRequest


def service_account(request: RolloutRequest) -> dict[str, Any]:
    """A ServiceAccount without a token: the component has no business with the Kubernetes API."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(request),
        "automountServiceAccountToken": False,
    }
