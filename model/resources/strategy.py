"""PromotionPolicy's `spec.strategy`: how a release takes over from the one before it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from model.duration import Duration
from model.resources.declared import Label, StrictBlock

# A number of pods or a percentage of them, as Deployments have it.
Share = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]{1,3}%?$", "maxLength": 4}),
]


def _checked(*rules: tuple[str, str]) -> dict[str, Any]:
    """Rules (CEL and what is said when one is broken) that the API server checks when it is applied."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


class _CheckedBlock(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class RollingRules(StrictBlock):
    """Pod by pod: how many more, and how many fewer than the replicas there may be meanwhile."""

    max_surge: Share | None = None
    max_unavailable: Share | None = None


class BlueGreenRules(StrictBlock):
    """Two side by side and a switch. `autoPromote: false` leaves the switch to a person.

    `scaleDownDelay`: how long the old release stays, ready to take over again.
    """

    auto_promote: bool | None = None
    scale_down_delay: Duration | None = None


class PauseRules(StrictBlock):
    """How long; without a duration until a person lets the release proceed."""

    duration: Duration | None = None


class CanaryRule(_CheckedBlock):
    """One step: a weight (percent of the traffic) or a pause."""

    model_config = ConfigDict(
        json_schema_extra=_checked(
            ("has(self.setWeight) != has(self.pause)", "a step has either setWeight or pause"),
        )
    )

    set_weight: Annotated[int, Field(ge=1, le=100)] | None = None
    pause: PauseRules | None = None


class CanaryRules(StrictBlock):
    """Step by step; after each weight and the pauses behind it the release is verified.

    `httpRoute`: a Gateway API HTTPRoute in the component's namespace whose weights are set; without it a
    weight is the canary's share of the pods.
    """

    steps: Annotated[
        list[CanaryRule],
        Field(
            min_length=1,
            max_length=40,
            json_schema_extra=_checked(
                ("has(self[0].setWeight)", "the first step sets a weight"),
                (
                    "self.filter(s, has(s.setWeight)).map(s, s.setWeight).isSorted()",
                    "weights rise from step to step",
                ),
            ),
        ),
    ]
    max_surge: Share | None = None
    max_unavailable: Share | None = None
    http_route: Label | None = None


class StrategyRules(_CheckedBlock):
    """Exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra=_checked(
            (
                "[has(self.rolling), has(self.blueGreen), has(self.canary)].filter(x, x).size() == 1",
                "name one of rolling, blueGreen and canary",
            ),
        )
    )

    rolling: RollingRules | None = None
    blue_green: BlueGreenRules | None = None
    canary: CanaryRules | None = None
