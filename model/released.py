"""A release as the ComponentRelease that keeps it, and back."""

from typing import Any

from model import labels
from model.casing import camel_keys
from model.key import ComponentKey
from model.names import label_value
from model.release import Release
from model.resources.component_release import ComponentRelease
from model.resources.declared import read
from model.workload import File, Variable

_TYPES = {"scheduled-task": "cronjob/scheduled-task"}


def manifest(release: Release) -> dict[str, Any]:
    """OpenChoreo's fields where it has them, and the whole release under `spec.towpath`."""
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "ComponentRelease",
        "metadata": {
            "name": release.name,
            "namespace": release.component.namespace,
            "labels": {
                **labels.for_component(release.component, release.project),
                labels.COMMIT: label_value(release.commit.id[:40]),
            },
        },
        "spec": {
            "owner": {"projectName": release.project, "componentName": release.component.name},
            "componentType": {
                "kind": "ClusterComponentType",
                "name": _TYPES.get(release.workload.kind, f"deployment/{release.workload.kind}"),
            },
            "workload": _workload(release),
            "towpath": camel_keys(release.model_dump(mode="json")),
        },
    }


def release(obj: dict[str, Any]) -> Release | None:
    """The release that a ComponentRelease keeps; None when another engine made it.

    Raises:
        UserFailure: `InvalidManifest`.
    """
    return read(ComponentRelease, obj).spec.towpath


def same(one: Release, other: Release) -> bool:
    """Whether both are the same thing to run: the same component, commit, image and workload.

    A second build of a commit may come to the same digest; that its build and sequence differ makes
    it no other release.
    """
    return (one.component, one.commit.id, one.image, one.workload) == (
        other.component,
        other.commit.id,
        other.image,
        other.workload,
    )


def selector(component: ComponentKey) -> str:
    """Label selector of a component's releases."""
    return f"{labels.COMPONENT}={component.name}"


def _workload(release: Release) -> dict[str, Any]:
    workload = release.workload
    container: dict[str, Any] = {"image": release.image.reference}
    if workload.command:
        container["command"] = list(workload.command)
    if workload.args:
        container["args"] = list(workload.args)
    if workload.variables:
        container["env"] = [{"key": one.name, **_value(one)} for one in workload.variables]
    if workload.files:
        container["files"] = [
            {"key": one.path.rpartition("/")[2], "mountPath": one.path, **_value(one)} for one in workload.files
        ]
    made: dict[str, Any] = {"container": container}
    if workload.endpoints:
        made["endpoints"] = {
            one.name: {
                "type": one.type,
                "port": one.port,
                **({"targetPort": one.target_port} if one.target_port else {}),
                "visibility": list(one.visibility),
                **({"basePath": one.base_path} if one.base_path else {}),
            }
            for one in workload.endpoints
        }
    return made


def _value(one: Variable | File) -> dict[str, Any]:
    if one.secret:
        return {"valueFrom": {"secretKeyRef": {"name": one.secret, "key": one.key}}}
    return {"value": one.value}
