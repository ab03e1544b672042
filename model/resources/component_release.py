"""`openchoreo.dev/v1alpha1` ComponentRelease: an immutable snapshot."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from model.casing import camel_keys, camel_schema, snake_keys
from model.release import Release
from model.resources.declared import (
    AGE,
    OPENCHOREO,
    AnyReference,
    Block,
    Column,
    Declared,
    Kind,
    Label,
    Rule,
    Status,
)

# All that Towpath knows of a release; OpenChoreo's own fields beside it hold what they have room for.
WholeRelease = Annotated[
    Release,
    BeforeValidator(lambda value: snake_keys(value) if isinstance(value, dict) else value),
    PlainSerializer(lambda value: camel_keys(value.model_dump(mode="json"))),
    WithJsonSchema(camel_schema(Release.model_json_schema())),
]


class ReleaseOwner(Block):
    """Whose release it is."""

    project_name: Label
    component_name: Label


class ComponentReleaseSpec(Block):
    """`towpath` is absent in releases that OpenChoreo made; the engine leaves those alone."""

    owner: ReleaseOwner
    component_type: AnyReference | None = None
    traits: Annotated[list[dict[str, Any]], Field(max_length=100)] | None = None
    component_profile: dict[str, Any] | None = None
    workload: dict[str, Any] | None = None
    towpath: WholeRelease | None = None


class ComponentRelease(Declared):
    """What is promoted."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="ComponentRelease",
        plural="componentreleases",
        columns=(
            Column("Project", ".spec.owner.projectName"),
            Column("Component", ".spec.owner.componentName"),
            Column("Commit", ".spec.towpath.commit.id", priority=1),
            Column("Digest", ".spec.towpath.image.digest"),
            AGE,
        ),
        rules=(Rule("spec", "self == oldSelf", "spec cannot be changed: a release is immutable, make another"),),
    )

    spec: ComponentReleaseSpec
    status: Status | None = None
