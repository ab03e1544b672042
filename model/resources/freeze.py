"""`towpath.dev/v1alpha1` Freeze: nothing goes in for a while, whatever the policies say."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from model.resources.declared import AGE, TOWPATH, Column, Declared, Kind, Rule, Status, StrictBlock
from model.resources.gates import FREEZE_RULES, Because, Moment, Zone
from model.resources.promotion_policy import Selector


class FreezeSpec(StrictBlock):
    """From when until when (dates are their midnights), for which steps, why, and who wanted it."""

    selector: Selector = Selector()
    start: Moment = Field(alias="from")
    until: Moment
    time_zone: Zone | None = None
    reason: Because | None = None
    by: Annotated[str, Field(max_length=100)] | None = None


class Freeze(Declared):
    """Holds gates shut. Every freeze that matches counts, and no policy can lift one."""

    declared_as: ClassVar[Kind] = Kind(
        group=TOWPATH,
        kind="Freeze",
        plural="freezes",
        columns=(
            Column("Environment", ".spec.selector.environment"),
            Column("Project", ".spec.selector.project", priority=1),
            Column("Component", ".spec.selector.component", priority=1),
            Column("From", ".spec.from"),
            Column("Until", ".spec.until"),
            Column("By", ".spec.by"),
            Column("Reason", ".spec.reason"),
            AGE,
        ),
        rules=tuple(Rule("spec", rule, message, ".until") for rule, message in FREEZE_RULES),
    )

    spec: FreezeSpec
    status: Status | None = None


def manifest(name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A Freeze as it is applied; what is empty in `spec` is left out."""
    return {
        "apiVersion": Freeze.declared_as.api_version,
        "kind": "Freeze",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "towpath"},
        },
        "spec": {key: value for key, value in spec.items() if value},
    }
