"""`openchoreo.dev/v1alpha1` ReleaseBinding: which release an environment runs."""

from typing import Any, ClassVar, Literal

from model.resources.component_release import ReleaseOwner
from model.resources.declared import AGE, OPENCHOREO, Block, Column, Declared, Kind, Rule, Status, Word


class ReleaseBindingSpec(Block):
    """Towpath writes these to mirror its lanes. What somebody else writes there is promoted through the gates."""

    owner: ReleaseOwner
    environment: Word
    release_name: Word | None = None
    state: Literal["Active", "Undeploy", "Suspend"] | None = None
    component_type_environment_configs: dict[str, Any] | None = None
    trait_environment_configs: dict[str, Any] | None = None
    workload_overrides: dict[str, Any] | None = None


class ReleaseBinding(Declared):
    """Which release an environment runs."""

    declared_as: ClassVar[Kind] = Kind(
        group=OPENCHOREO,
        kind="ReleaseBinding",
        plural="releasebindings",
        columns=(
            Column("Component", ".spec.owner.componentName"),
            Column("Environment", ".spec.environment"),
            Column("Release", ".spec.releaseName"),
            AGE,
        ),
        rules=(
            Rule(
                "spec",
                "self.owner.projectName == oldSelf.owner.projectName && "
                "self.owner.componentName == oldSelf.owner.componentName",
                "owner cannot be changed; make another ReleaseBinding",
                field=".owner",
            ),
            Rule(
                "spec",
                "self.environment == oldSelf.environment",
                "environment cannot be changed; make another ReleaseBinding",
                field=".environment",
            ),
        ),
    )

    spec: ReleaseBindingSpec
    status: Status | None = None
