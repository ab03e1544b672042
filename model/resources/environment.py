"""`openchoreo.dev/v1alpha1` Environment."""

from typing import Any, ClassVar

from model.resources.declared import AGE, OPENCHOREO, AnyReference, Block, Column, Declared, Kind, Rule, Status


class EnvironmentSpec(Block):
    """`dataPlaneRef` absent means the plane `default`."""

    data_plane_ref: AnyReference | None = None
    is_production: bool = False
    gateway: dict[str, Any] | None = None


class Environment(Declared):
    """A stage that releases are promoted through."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="Environment",
        plural="environments",
        short_names=("env",),
        columns=(
            Column("Production", ".spec.isProduction", "boolean"),
            Column("Plane", ".spec.dataPlaneRef.name"),
            AGE,
        ),
        rules=(
            Rule(
                "",
                "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                "metadata.name: at most 63 lower-case letters, digits and -",
            ),
        ),
    )

    spec: EnvironmentSpec = EnvironmentSpec()
    status: Status | None = None
