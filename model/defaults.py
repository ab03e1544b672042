"""What is made when nobody has declared it: project, environments and pipeline `default`."""

from itertools import pairwise
from typing import Any

from model import labels

API_VERSION = "openchoreo.dev/v1alpha1"
PROJECT = "default"
PIPELINE = "default"
ENVIRONMENTS = ("development", "staging", "production")


def project(namespace: str) -> dict[str, Any]:
    """Project `default`, which components that name no project join."""
    return _object("Project", namespace, PROJECT, {"deploymentPipelineRef": {"name": PIPELINE}})


def environments(namespace: str) -> list[dict[str, Any]]:
    """development, staging and production, on the cluster-wide data plane `default`."""
    return [
        _object(
            "Environment",
            namespace,
            name,
            {
                "dataPlaneRef": {"kind": "ClusterDataPlane", "name": "default"},
                "isProduction": name == "production",
            },
        )
        for name in ENVIRONMENTS
    ]


def pipeline(namespace: str) -> dict[str, Any]:
    """development → staging → production."""
    paths = [
        {"sourceEnvironmentRef": {"name": source}, "targetEnvironmentRefs": [{"name": target}]}
        for source, target in pairwise(ENVIRONMENTS)
    ]
    return _object("DeploymentPipeline", namespace, PIPELINE, {"promotionPaths": paths})


def _object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {labels.MANAGED_BY: labels.MANAGER}},
        "spec": spec,
    }
