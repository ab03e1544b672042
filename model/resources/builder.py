"""`openchoreo.dev/v1alpha1` Workflow and ClusterWorkflow: builders."""

from typing import Any, ClassVar

from model.resources.declared import AGE, OPENCHOREO, AnyReference, Block, Column, Declared, Kind, Status


class BuilderSpec(Block):
    """`workflowPlaneRef` (v0.8: `buildPlaneRef`) absent means the plane `default`."""

    workflow_plane_ref: AnyReference | None = None
    build_plane_ref: AnyReference | None = None
    parameters: dict[str, Any] | None = None
    run_template: dict[str, Any] | None = None

    @property
    def plane(self) -> str:
        """The build plane's name."""
        reference = self.workflow_plane_ref or self.build_plane_ref
        return reference.name if reference else "default"


class Workflow(Declared):
    """A builder of one namespace."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="Workflow",
        plural="workflows",
        columns=(Column("Plane", ".spec.workflowPlaneRef.name"), AGE),
    )

    spec: BuilderSpec = BuilderSpec()
    status: Status | None = None


class ClusterWorkflow(Workflow):
    """A builder for all namespaces."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="ClusterWorkflow",
        plural="clusterworkflows",
        namespaced=False,
        columns=(Column("Plane", ".spec.workflowPlaneRef.name"), AGE),
    )
