"""The identity of a component's pods."""

from typing import Any

from model.manifests.metadata import metadata
from model.rollout import RolloutRequest


def service_account(request: RolloutRequest) -> dict[str, Any]:
    """A ServiceAccount without a token: the component has no business with the Kubernetes API. A private image is
    pulled with the Secret that the component names."""
    account: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(request),
        "automountServiceAccountToken": False,
    }
    if secret := request.target.component.build.pull_secret:
        account["imagePullSecrets"] = [{"name": secret}]
    return account
