"""Kinds of OpenChoreo that its manifests ship and Towpath keeps without reading."""

from typing import Any, ClassVar

from model.resources.declared import OPENCHOREO, Declared, Kind, Status


def _kept(kind: str, plural: str = "", namespaced: bool = True) -> type["Kept"]:
    described = Kind(group=OPENCHOREO, kind=kind, plural=plural or kind.lower() + "s", namespaced=namespaced)
    return type(kind, (Kept,), {"declared_as": described, "__doc__": f"{kind}, kept as it is."})


class Kept(Declared):
    """An object whose spec is anything."""

    declared_as: ClassVar[Kind] = Kind(group=OPENCHOREO, kind="Kept", plural="kepts")

    spec: dict[str, Any] | None = None
    status: Status | None = None


KEPT: tuple[type[Kept], ...] = (
    *(
        _kept(kind)
        for kind in (
            "AuthzRole",
            "AuthzRoleBinding",
            "ComponentType",
            "ComponentWorkflow",
            "ComponentWorkflowRun",
            "ObservabilityAlertRule",
            "ObservabilityAlertsNotificationChannel",
            "ObservabilityPlane",
            "ProjectRelease",
            "ProjectReleaseBinding",
            "ProjectType",
            "RenderedRelease",
            "Resource",
            "ResourceRelease",
            "ResourceReleaseBinding",
            "ResourceType",
            "Trait",
            "WorkflowRun",
        )
    ),
    *(
        _kept(kind, namespaced=False)
        for kind in (
            "ClusterAuthzRole",
            "ClusterAuthzRoleBinding",
            "ClusterComponentType",
            "ClusterObservabilityPlane",
            "ClusterProjectType",
            "ClusterResourceType",
            "ClusterTrait",
        )
    ),
)
