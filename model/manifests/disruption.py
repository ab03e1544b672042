"""How many of a component's pods may be away at once when nodes are drained."""

from typing import Any

from model.manifests.metadata import metadata, selector
from model.rollout import RolloutRequest


def disruption_budget(request: RolloutRequest) -> dict[str, Any]:
    """One pod at a time; pods that are not healthy anyway never hold up a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(request),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(request.target)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
