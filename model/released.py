"""A release as the ComponentRelease that keeps it, and back."""

import re
from typing import Any

from model import labels
from model.casing import camel_keys
from model.key import ComponentKey
from model.names import label_value
from model.release import Release
from model.repository import tag_of
from model.resources.component_release import ComponentRelease
from model.resources.declared import read
from model.workload import File, Variable

_NOT_LABEL = re.compile(r"[^A-Za-z0-9._-]")
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
                **tag_labels(tag_of(release.branch), release.version),
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
    found = read(ComponentRelease, obj).spec.towpath
    named = (obj["metadata"].get("labels") or {}).get(labels.VERSION, "")
    if found is None or found.version or not named:
        return found
    # A tag has come after the release.
    return found.model_copy(update={"version": named})


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


def tag_labels(tag: str, version: str) -> dict[str, str]:
    """What a release's labels say of the tag it was made for, or that came after it; nothing without a tag.

    What a label cannot hold (a version's `+`, a tag's `/`) is written as `_`, as Helm does.
    """
    said = {labels.TAG: tag, labels.VERSION: version}
    return {name: _NOT_LABEL.sub("_", text)[:63].strip("._-") for name, text in said.items() if text}


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
