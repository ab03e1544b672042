"""`openchoreo.dev/v1alpha1` Workload: how a component runs. Today's shape and v0.8's."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from model.resources.choreo_component import EndpointType, VisibilityName
from model.resources.declared import (
    AGE,
    OPENCHOREO,
    VARIABLE,
    Block,
    Column,
    Declared,
    Kind,
    Label,
    Path,
    Port,
    Rule,
    Status,
    Text,
    Word,
)


class KeyOfSecret(Block):
    """One key of a Secret."""

    name: Word
    key: Word


class ValueFrom(Block):
    """Where a value comes from; `secretRef` is v0.8's word, `path` is for files in `workload.yaml`."""

    secret_key_ref: KeyOfSecret | None = None
    secret_ref: KeyOfSecret | None = None
    path: Path | None = None


class EnvironmentVariable(Block):
    """`key` in a Workload, `name` in a `workload.yaml`."""

    key: Annotated[str, Field(max_length=253, pattern=VARIABLE)] | None = None
    name: Annotated[str, Field(max_length=253, pattern=VARIABLE)] | None = None
    value: Text | None = None
    value_from: ValueFrom | None = None


class MountedFile(Block):
    """A file at `mountPath` (absolute)."""

    key: Word | None = None
    name: Word | None = None
    mount_path: Annotated[str, Field(max_length=1024, pattern=r"^/[^\x00]*$")]
    value: Text | None = None
    value_from: ValueFrom | None = None


class Container(Block):
    """The container; `image` is absent while it is still to be built."""

    image: Annotated[str, Field(max_length=1024)] | None = None
    command: Annotated[list[Text], Field(max_length=100)] | None = None
    args: Annotated[list[Text], Field(max_length=100)] | None = None
    env: Annotated[list[EnvironmentVariable], Field(max_length=200)] | None = None
    files: Annotated[list[MountedFile], Field(max_length=50)] | None = None


class WorkloadEndpoint(Block):
    """A port under its name."""

    type: EndpointType | None = None
    port: Port
    target_port: Port | None = None
    visibility: Annotated[list[VisibilityName], Field(max_length=4)] | None = None
    base_path: Annotated[str, Field(max_length=1024)] | None = None


class EnvBindings(Block):
    """Which variables get the parts of another component's address."""

    address: Word | None = None
    host: Word | None = None
    port: Word | None = None
    base_path: Word | None = None


class EndpointDependency(Block):
    """An endpoint of another component."""

    component: Label
    project: Label | None = None
    name: Label
    env_bindings: EnvBindings | None = None


class Dependencies(Block):
    """What the component calls."""

    endpoints: Annotated[list[EndpointDependency], Field(max_length=50)] | None = None


class WorkloadOwner(Block):
    """Whose workload it is; immutable."""

    project_name: Label
    component_name: Label


class WorkloadSpec(Block):
    """`containers` (a map whose `main` counts) and `connections` are v0.8's."""

    owner: WorkloadOwner
    container: Container | None = None
    containers: Annotated[dict[str, Container], Field(max_length=1)] | None = None
    endpoints: Annotated[dict[Label, WorkloadEndpoint], Field(max_length=20)] | None = None
    dependencies: Dependencies | None = None
    connections: Annotated[dict[str, Any], Field(max_length=50)] | None = None
    type: Literal["Service", "WebApplication", "ManualTask", "ScheduledTask", "Worker"] | None = None


class OpenChoreoWorkload(Declared):
    """How a component runs."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="Workload",
        plural="workloads",
        columns=(
            Column("Project", ".spec.owner.projectName"),
            Column("Component", ".spec.owner.componentName"),
            AGE,
        ),
        rules=(
            Rule(
                "spec.owner",
                "self.projectName == oldSelf.projectName && self.componentName == oldSelf.componentName",
                "owner cannot be changed; make another Workload",
            ),
        ),
    )

    spec: WorkloadSpec
    status: Status | None = None
