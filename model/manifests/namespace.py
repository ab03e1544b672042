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
                **({labels.PREVIEW: "true"} if target.step.preview else {}),
                **{f"pod-security.kubernetes.io/{mode}": ENFORCED for mode in ("enforce", "audit", "warn")},
            },
        },
    }


def environment_labels(target: Target) -> dict[str, str]:
    """Labels of what belongs to the environment as a whole."""
    return labels.for_environment(
        target.component.key.namespace, target.component.project, target.step.environment
    )
