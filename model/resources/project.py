"""`openchoreo.dev/v1alpha1` Project."""

from typing import Any, ClassVar

from model.resources.declared import AGE, OPENCHOREO, AnyReference, Block, Column, Declared, Kind, Status


class ProjectSpec(Block):
    """`deploymentPipelineRef` absent means the pipeline `default`."""

    deployment_pipeline_ref: AnyReference | None = None
    type: AnyReference | None = None
    parameters: dict[str, Any] | None = None


class Project(Declared):
    """A grouping of components that share a pipeline."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="Project",
        plural="projects",
        columns=(Column("Pipeline", ".spec.deploymentPipelineRef.name"), AGE),
    )

    spec: ProjectSpec = ProjectSpec()
    status: Status | None = None
