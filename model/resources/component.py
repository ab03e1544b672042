"""`openchoreo.dev/v1alpha1` Component: today's shape and v0.8's."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from model.resources.component_status import COLUMNS, NAME_RULE, ComponentStatus
from model.resources.declared import (
    AGE,
    OPENCHOREO,
    Address,
    AnyReference,
    Block,
    Branch,
    Column,
    Commit,
    Declared,
    Kind,
    Label,
    Path,
    Rule,
    Text,
    Word,
)


class Owner(Block):
    """Which project a component is in; absent means project `default`."""

    project_name: Label


class Revision(Block):
    """Which branch is followed; `commit` pins one."""

    branch: Branch | None = None
    commit: Commit | None = None


class Repository(Block):
    """Where the source is. `appPath` is the component's folder, for monorepos."""

    url: Address | None = None
    secret_ref: AnyReference | None = None
    app_path: Path | None = None
    revision: Revision | None = None


class Docker(Block):
    """Where the Dockerfile and its context are, relative to the repository."""

    context: Path | None = None
    file_path: Path | None = None


class NameValue(Block):
    """A build argument or build variable."""

    name: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: Text = ""


class WorkflowParameters(Block):
    """What the builders that Towpath ships read; others' parameters are kept."""

    repository: Repository | None = None
    docker: Docker | None = None
    build_args: Annotated[list[NameValue], Field(max_length=100)] | None = None
    build_env: Annotated[list[NameValue], Field(max_length=100)] | None = None


class SystemParameters(Block):
    """v0.8's place for the repository."""

    repository: Repository | None = None


class WorkflowUse(Block):
    """Which builder, with which parameters."""

    kind: Word | None = None
    name: Word
    parameters: WorkflowParameters | None = None
    system_parameters: SystemParameters | None = None


class ComponentSpec(Block):
    """`componentType.name` is `<workload type>/<type name>`, for instance `deployment/service`."""

    owner: Owner | None = None
    component_type: AnyReference | None = None
    auto_deploy: bool | None = None
    auto_build: bool | None = None
    parameters: dict[str, Any] | None = None
    workflow: Annotated[
        WorkflowUse | None, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)
    ] = None


class OpenChoreoComponent(Declared):
    """An individual deployable unit in OpenChoreo's form."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="Component",
        plural="components",
        short_names=("comp",),
        columns=(Column("Project", ".spec.owner.projectName"), *COLUMNS, AGE),
        rules=(
            NAME_RULE,
            Rule(
                "spec",
                "has(self.owner) == has(oldSelf.owner) && (!has(self.owner) || "
                "self.owner.projectName == oldSelf.owner.projectName)",
                "owner.projectName cannot be changed; delete the component and declare it in the other project",
                field=".owner",
            ),
        ),
    )

    spec: ComponentSpec
    status: ComponentStatus | None = None
