"""PromotionPolicy's gates: windows, freezes, what must run elsewhere, and whom to ask outside."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from model.duration import Duration
from model.resources.declared import Label, ObjectName, StrictBlock, Word

CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?$"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Clock = Annotated[str, Field(max_length=5, pattern=CLOCK)]
Moment = Annotated[str, Field(max_length=25, pattern=MOMENT)]
Day = Annotated[str, Field(pattern="^(" + "|".join(DAYS) + ")$")]
Zone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")]
Because = Annotated[str, Field(max_length=500)]
Url = Annotated[
    str,
    Field(min_length=8, max_length=2048, pattern=r"^https?://[^\s/@]+(/[^\s]*)?$"),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 8,
            "maxLength": 2048,
            "x-kubernetes-validations": [
                {
                    "rule": r"self.matches(r'^https?://[^\s/@]+(/[^\s]*)?$')",
                    "message": "write http:// or https:// and a host; credentials belong into a Secret",
                }
            ],
        }
    ),
]


def checked(*rules: tuple[str, str]) -> ConfigDict:
    """Rules (CEL and what is said when one is broken) that the API server checks when it is applied."""
    said = [{"rule": rule, "message": message} for rule, message in rules]
    extra: dict[str, Any] = {"x-kubernetes-validations": said}
    return ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, json_schema_extra=extra
    )


class WindowRule(BaseModel):
    """A part of the week: on `days` (all without) `from` until before `to`; past midnight when `to` is earlier."""

    model_config = checked(
        (
            "!has(self.from) || !has(self.to) || self.from != self.to",
            "a window from a time to the same time is empty; leave both out for the whole day",
        ),
    )

    days: Annotated[list[Day], Field(min_length=1, max_length=7)] | None = None
    start: Clock | None = Field(default=None, alias="from")
    to: Clock | None = None
    reason: Because | None = None


class WindowRules(BaseModel):
    """When releases may go in (`allow`: at no other time) and when not (`deny`), by the clocks of `timeZone`."""

    model_config = checked(
        ("has(self.allow) || has(self.deny)", "name at least one window under allow or deny"),
    )

    time_zone: Zone | None = None
    allow: Annotated[list[WindowRule], Field(min_length=1, max_length=20)] | None = None
    deny: Annotated[list[WindowRule], Field(min_length=1, max_length=20)] | None = None


FREEZE_RULES = (
    (
        "self.from.size() != 10 || self.until.size() != 10 || self.from < self.until",
        "until must come after from; a date is its midnight",
    ),
)


class FreezeRule(BaseModel):
    """Nothing goes in `from` until before `until`: dates (their midnights) or times, by `timeZone`'s clocks."""

    model_config = checked(*FREEZE_RULES)

    start: Moment = Field(alias="from")
    until: Moment
    time_zone: Zone | None = None
    reason: Because | None = None


class RequirementRule(StrictBlock):
    """A component of the same project that must run, healthy, in `environment` (the gate's own without).

    `release`: at least that release. `sameCommit`: of the commit that waits at the gate, or a later push.
    """

    component: Label
    environment: Label | None = None
    release: Annotated[str, Field(max_length=63)] | None = None
    same_commit: bool | None = None


class SecretKey(StrictBlock):
    """A key of a Secret in the component's namespace."""

    name: ObjectName
    key: Annotated[str, Field(min_length=1, max_length=253)] | None = None


class WebhookRule(StrictBlock):
    """Is sent a POST with the release as JSON, and answers `{"allow": true|false, "reason": "..."}`.

    `secretRef`: whose text goes along as bearer token.
    """

    url: Url
    secret_ref: SecretKey | None = None


class GateJobRule(BaseModel):
    """A Job in the environment: exit code 0 is a yes. It runs the release's image unless `image` names another."""

    model_config = checked(("has(self.command) || has(self.image)", "name a command, or an image that has one"))

    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    command: (
        Annotated[list[Annotated[str, Field(max_length=4096)]], Field(min_length=1, max_length=100)] | None
    ) = None


class ExternalRule(BaseModel):
    """Somebody outside who says yes or no, once everything else is met.

    `timeout`: of one call. What is not a yes is asked again after `retryEvery`, until `timeLimit` after the
    first time; then the release is turned away. A yes counts for `validFor`.
    """

    model_config = checked(("has(self.webhook) != has(self.job)", "name either a webhook or a job"))

    name: Label
    webhook: WebhookRule | None = None
    job: GateJobRule | None = None
    timeout: Duration | None = None
    retry_every: Duration | None = None
    time_limit: Duration | None = None
    valid_for: Duration | None = None


Freezes = Annotated[list[FreezeRule], Field(max_length=50)]
OverrideRoles = Annotated[list[Word], Field(max_length=20)]
Requires = Annotated[list[RequirementRule], Field(max_length=20)]
Externals = Annotated[list[ExternalRule], Field(max_length=5)]
