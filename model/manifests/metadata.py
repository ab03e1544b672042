"""What every object of a component carries: name, labels of both groups, where it comes from."""

from typing import Any

from model import labels, names
from model.rollout import RolloutRequest, Target


def component_labels(target: Target) -> dict[str, str]:
    """Labels of everything that belongs to the component in this environment."""
    return labels.for_component(target.component.key, target.component.project, target.step.environment)


def selector(target: Target) -> dict[str, str]:
    """The labels by which the component's pods are found; they never change, since selectors may not."""
    key = target.component.key
    return {labels.COMPONENT: key.name, labels.NAMESPACE: key.namespace}


def metadata(request: RolloutRequest, name: str = "") -> dict[str, Any]:
    """Metadata of one of the component's objects, by default named as the component's workload."""
    return {
        "name": name or names.workload(request.target.component.key.name),
        "namespace": request.target.namespace,
        "labels": {**component_labels(request.target), labels.RELEASE: request.release.name},
        "annotations": {
            labels.RELEASE: request.release.name,
            labels.COMMIT: request.release.commit.id,
            labels.REVISION: str(request.revision),
            labels.FENCE: str(request.fence),
        },
    }
