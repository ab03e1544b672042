"""The part of a PromotionPolicy that says what a release must show before it counts as healthy."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from model import promql
from model.duration import Duration
from model.resources.declared import Label, ObjectName, StrictBlock, Text, Word

Count = Annotated[int, Field(ge=1, le=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# What the API server can tell by itself: no blank but those there are. Whether they stand inside strings is found
# out when the policy is read.
_KNOWN_BLANKS = r"^([^{]|\{[^{]|\{\{ *(" + "|".join(promql.VARIABLES) + r") *\}\})*\{?$"


def _readable(query: str) -> str:
    if wrong := promql.problem(query):
        raise ValueError(wrong)
    return query


def _one_of(*fields: str) -> dict[str, Any]:
    """CEL: at least one of the fields must be there."""
    rule = " || ".join(f"has(self.{field})" for field in fields)
    said = f"state at least one of {', '.join(fields)}: without one nothing could fail"
    return {"x-kubernetes-validations": [{"rule": rule, "message": said}]}


Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        json_schema_extra={"pattern": _KNOWN_BLANKS},
    ),
    AfterValidator(_readable),
]


class Sampled(StrictBlock):
    """How often is asked, and which run of answers settles it; see `model.check.Limits`."""

    timeout: Duration | None = None
    samples: Count | None = None
    interval: Duration | None = None
    initial_delay: Duration | None = None
    failure_limit: Count | None = None
    error_limit: Count | None = None


class TlsVerification(StrictBlock):
    """How the TLS connection is proven; see `model.check.Tls`."""

    ca_config_map: ObjectName | None = None
    key: Word | None = None
    server_name: ObjectName | None = None


class HttpTlsVerification(TlsVerification):
    """As for gRPC; `insecure` proves nothing and only encrypts."""

    insecure: bool | None = None


class HttpVerification(Sampled):
    """A GET through the Service, by HTTPS with `tls` (which may be empty); see `model.check.HttpCheck`."""

    endpoint: Label | None = None
    path: Annotated[str, Field(max_length=1024, pattern=r"^/[^\x00-\x20\x7f]*$")] | None = None
    tls: HttpTlsVerification | None = None


class GrpcVerification(Sampled):
    """`grpc.health.v1.Health/Check` through the Service; see `model.check.GrpcCheck`."""

    endpoint: Label | None = None
    service: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9_.]*$")] | None = None
    tls: TlsVerification | None = None


class JobVerification(StrictBlock):
    """A Job beside the release, by default from its image: exit code 0 passes; see `model.check.JobCheck`."""

    model_config = {"json_schema_extra": _one_of("command", "image")}

    name: Label
    command: Annotated[list[Text], Field(min_length=1, max_length=100)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\s]+$")] | None = None
    timeout: Duration | None = None


class BaselineRules(StrictBlock):
    """What the value is compared with; see `model.check.Baseline`."""

    model_config = {"json_schema_extra": _one_of("maxRatio", "minRatio")}

    query: Query | None = None
    max_ratio: Share | None = None
    min_ratio: Share | None = None
    slack: Share | None = None


class PrometheusVerification(Sampled):
    """A PromQL query that must come to one number within limits; see `model.check.QueryCheck`."""

    model_config = {"json_schema_extra": _one_of("max", "min", "baseline")}

    name: Label
    query: Query
    server: Label | None = None
    max: Number | None = None
    min: Number | None = None
    baseline: BaselineRules | None = None


class VerificationRules(StrictBlock):
    """The checks after a rollout; an empty list switches them off.

    `deadline`: how long all checks together may take. `onInconclusive`: what becomes of a release of which
    nobody can tell. `watchFor`: how long it is looked at afterwards, every `watchInterval`.
    """

    http: Annotated[list[HttpVerification], Field(max_length=10)] | None = None
    grpc: Annotated[list[GrpcVerification], Field(max_length=10)] | None = None
    jobs: Annotated[list[JobVerification], Field(max_length=5)] | None = None
    prometheus: Annotated[list[PrometheusVerification], Field(max_length=10)] | None = None
    deadline: Duration | None = None
    on_inconclusive: Literal["hold", "rollback"] | None = None
    watch_for: Duration | None = None
    watch_interval: Duration | None = None
