"""`choreo.dev/v1` Component: the FAQ's hello-world, and the little around it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.resources.component_status import COLUMNS, NAME_RULE, ComponentStatus
from model.resources.declared import (
    AGE,
    CHOREO,
    VARIABLE,
    Address,
    Branch,
    Column,
    Declared,
    Kind,
    Label,
    ObjectName,
    Path,
    Port,
    Rule,
    StrictBlock,
    Text,
)

EndpointType = Literal["HTTP", "REST", "GraphQL", "Websocket", "gRPC", "TCP", "UDP"]
VisibilityName = Literal["project", "namespace", "internal", "external"]
Size = Annotated[str, Field(max_length=20, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")]


class Git(StrictBlock):
    """The repository; `branch` is `main` and `path` the whole repository unless said otherwise."""

    repository: Address
    branch: Branch | None = None
    path: Path | None = None
    secret_ref: ObjectName | None = None


class Source(StrictBlock):
    """Where the code is."""

    git: Git


class ChoreoEndpoint(StrictBlock):
    """A port that the process listens on; HTTP within the project unless said otherwise."""

    name: Label
    port: Port
    type: EndpointType | None = None
    visibility: Annotated[list[VisibilityName], Field(max_length=4)] | None = None


class ChoreoVariable(StrictBlock):
    """An environment variable: a literal, or a key of a Secret."""

    name: Annotated[str, Field(max_length=253, pattern=VARIABLE)]
    value: Text | None = None
    secret: ObjectName | None = None
    key: Annotated[str, Field(max_length=253)] | None = None


class ChoreoComponentSpec(StrictBlock):
    """`runtime` absent or `dockerfile`: the repository's Dockerfile; else the runtime's conventions."""

    type: Literal["service", "web-application", "worker", "scheduled-task"]
    project: Label | None = None
    runtime: Literal["nodejs", "python", "dockerfile"] | None = None
    source: Source
    endpoints: Annotated[
        list[ChoreoEndpoint],
        Field(
            max_length=20,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    env: Annotated[list[ChoreoVariable], Field(max_length=200)] = []
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    memory: Size | None = None
    cpu: Size | None = None
    schedule: Annotated[str, Field(max_length=100)] | None = None
    auto_build: bool | None = None
    auto_deploy: bool | None = None


class ChoreoComponent(Declared):
    """An individual deployable unit in the FAQ's form."""

    declared_as: ClassVar[Kind] = Kind(
        group=CHOREO,
        version="v1",
        kind="Component",
        plural="components",
        columns=(Column("Project", ".status.project"), *COLUMNS, AGE),
        rules=(
            NAME_RULE,
            Rule(
                "spec",
                "(has(self.project) ? self.project : 'default') == "
                "(has(oldSelf.project) ? oldSelf.project : 'default')",
                "project cannot be changed; delete the component and declare it in the other project",
                field=".project",
            ),
            Rule(
                "spec",
                "self.type != 'scheduled-task' || has(self.schedule)",
                "schedule is needed for a scheduled-task, for instance '*/5 * * * *'",
                field=".schedule",
            ),
        ),
    )

    spec: ChoreoComponentSpec
    status: ComponentStatus | None = None
