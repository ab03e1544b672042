"""The namespace of a project's environment on a data plane."""

from typing import Any

from model import labels
from model.rollout import Target

ENFORCED = "restricted"


def namespace(target: Target) -> dict[str, Any]:
    """A Namespace that enforces Pod Security `restricted`.

    Labels: https://kubernetes.io/docs/concepts/security/pod-security-admission/
    """
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": target.namespace,
            "labels": {
                **environment_labels(target),
                **_preview_labels(target),
                **{f"pod-security.kubernetes.io/{mode}": ENFORCED for mode in ("enforce", "audit", "warn")},
            },
        },
    }


def environment_labels(target: Target) -> dict[str, str]:
    """Labels of what belongs to the environment as a whole."""
    return labels.for_environment(
        target.component.key.namespace, target.component.project, target.step.environment
    )


def _preview_labels(target: Target) -> dict[str, str]:
    """By which a preview is told from an environment, and let in by the components that it calls."""
    step = target.step
    if not step.preview:
        return {}
    return {labels.PREVIEW: "true", **({labels.NEIGHBOURS: step.neighbours} if step.neighbours else {})}
