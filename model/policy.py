"""What must hold before and after a release enters an environment."""

from pydantic import Field

from model.value import Value


class HttpCheck(Value):
    """A GET through the Service from inside the data plane.

    Healthy when the status is below 400. `path` empty is the default rule: `/healthz`, and where that
    answers 404 (no such page), `/`, for which anything below 500 will do.
    """

    endpoint: str = ""
    path: str = ""
    timeout_seconds: float = 2.0
    samples: int = Field(default=3, ge=1, le=100)
    interval_seconds: float = 0.5


class StepPolicy(Value):
    """The rules of one step of the pipeline, already resolved from whatever declared them.

    `approvals` is how many people must approve; an approval lasts `approval_lasts_seconds`. The gate
    itself closes for good after `gate_lasts_seconds`. `stability_seconds` is how long the rollout must
    stay healthy without a restart; `deadline_seconds` how long it may take to get there.
    """

    approvals: int = Field(default=0, ge=0, le=20)
    approver_roles: tuple[str, ...] = ()
    allow_own_commit: bool = False
    approval_lasts_seconds: float = 7 * 86_400
    gate_lasts_seconds: float = 30 * 86_400
    stability_seconds: float = 3
    deadline_seconds: float = 300
    checks: tuple[HttpCheck, ...] = (HttpCheck(),)
    source: str = "default"
