"""`openchoreo.dev/v1alpha1` planes: clusters with a role. A plane's name is its task queue's."""

from typing import Any, ClassVar

from model.resources.declared import AGE, OPENCHOREO, READY, Block, Column, Declared, Kind, Status


def _plane(kind: str, namespaced: bool = True) -> Kind:
    return Kind(
        group=OPENCHOREO,
        kind=kind,
        plural=kind.lower() + "s",
        namespaced=namespaced,
        columns=(Column("Plane ID", ".spec.planeID"), READY, AGE),
    )


class PlaneSpec(Block):
    """OpenChoreo's connection data is kept and not used: Towpath's workers dial out to Temporal."""

    cluster_agent: dict[str, Any] | None = None
    gateway: dict[str, Any] | None = None


class Plane(Declared):
    """What all planes share."""

    spec: PlaneSpec = PlaneSpec()
    status: Status | None = None


class DataPlane(Plane):
    """A cluster that releases run in."""

    declared_as: ClassVar[Kind] = _plane("DataPlane")


class ClusterDataPlane(Plane):
    """A data plane for all namespaces."""

    declared_as: ClassVar[Kind] = _plane("ClusterDataPlane", namespaced=False)


class WorkflowPlane(Plane):
    """A cluster that builds run in."""

    declared_as: ClassVar[Kind] = _plane("WorkflowPlane")


class ClusterWorkflowPlane(Plane):
    """A build plane for all namespaces."""

    declared_as: ClassVar[Kind] = _plane("ClusterWorkflowPlane", namespaced=False)


class BuildPlane(Plane):
    """v0.8's name of a WorkflowPlane."""

    declared_as: ClassVar[Kind] = _plane("BuildPlane")
