"""The checks that say whether a running release does well: what is asked, how often, and what is too much."""

from typing import Literal

from pydantic import Field

from model.value import Value


class Limits(Value):
    """How often a check asks, and which run of answers settles it.

    After `initial_delay_seconds` it asks every `interval_seconds`. `samples` passes in a row are healthy,
    `failure_limit` failures in a row unhealthy. `error_limit` times in a row without an answer that says
    anything (errors, no data, timeouts) is inconclusive.
    """

    timeout_seconds: float = 2.0
    samples: int = Field(default=3, ge=1, le=100)
    interval_seconds: float = 0.5
    initial_delay_seconds: float = 0
    failure_limit: int = Field(default=3, ge=1, le=100)
    error_limit: int = Field(default=6, ge=1, le=100)


class Tls(Value):
    """How a check's TLS connection is proven.

    The certificate must be valid for `server_name` (empty: `<service>.<namespace>.svc`) under the authority
    in `key` of the ConfigMap `ca_config_map` of the component's namespace, or, where that is empty, under one
    that this machine trusts. With `insecure` nothing is proven.
    """

    ca_config_map: str = ""
    key: str = "ca.crt"
    server_name: str = ""
    insecure: bool = False


class HttpCheck(Limits):
    """A GET through the Service from inside the data plane, over TLS when `tls` says how.

    Healthy when the status is below 400. `path` empty is the default rule: `/healthz`, and where that
    answers 404 (no such page), `/`, for which anything below 500 will do.
    """

    endpoint: str = ""
    path: str = ""
    tls: Tls | None = None


class GrpcCheck(Limits):
    """`grpc.health.v1.Health/Check` through the Service: SERVING is a pass, NOT_SERVING a failure.

    `service` empty asks for the server as a whole. Without `endpoint` every gRPC endpoint is asked.
    """

    endpoint: str = ""
    service: str = ""
    tls: Tls | None = None


class JobCheck(Value):
    """A Job beside the release, by default from its image: exit code 0 is a pass, any other a failure."""

    name: str
    command: tuple[str, ...] = ()
    image: str = ""
    timeout_seconds: float = 300


class Baseline(Value):
    """What a query's value is compared with: the same query about the release before this one.

    A pass needs value <= baseline x `max_ratio` + `slack` and value >= baseline x `min_ratio` - `slack`, as
    far as they are given. `query` empty asks the check's own query. `{{release}}` is then the release before,
    and the time of the question is the moment before this one was applied.
    """

    query: str = ""
    max_ratio: float | None = Field(default=None, ge=0)
    min_ratio: float | None = Field(default=None, ge=0)
    slack: float = Field(default=0, ge=0)


class QueryCheck(Limits):
    """A PromQL query that must come to one number: at most `max`, at least `min`, and near the baseline.

    `server` names one of the servers that the data plane's worker knows; empty is its default one.
    """

    name: str
    query: str
    server: str = ""
    max: float | None = None
    min: float | None = None
    baseline: Baseline | None = None
    timeout_seconds: float = 5.0
    interval_seconds: float = 5.0
    error_limit: int = Field(default=4, ge=1, le=100)


OnInconclusive = Literal["hold", "rollback"]
"""What becomes of a release of which nobody can tell: it stays and the lane is held, or it goes back."""
