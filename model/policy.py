"""What must hold before and after a release enters an environment."""

import hashlib
import json

from pydantic import Field

from model.check import GrpcCheck, HttpCheck, JobCheck, OnInconclusive, QueryCheck
from model.external import External
from model.gitops_policy import GitOps
from model.hook import Hook
from model.requirement import Requirement
from model.strategy import Strategy
from model.value import Value
from model.window import Freeze, Window


class StepPolicy(Value):
    """The rules of one step of the pipeline, already resolved from whatever declared them.

    `approvals` is how many people must approve; an approval lasts `approval_lasts_seconds`. The gate
    itself closes for good after `gate_lasts_seconds`. `stability_seconds` is how long the rollout must
    stay healthy without a restart; `deadline_seconds` how long it may take to get there. `strategy` is how
    the release takes over (None: a rolling Deployment). `hooks_before` run one after the other before anything of
    the release is applied, `hooks_after` once it was verified.

    Who approves has one of `approver_roles`, is in one of `approver_groups`, or is one of `approvers`; anybody
    where none of them is given. `soak_seconds` is how long the release must have been healthy in every source
    environment. `override_roles` may go past `windows` and `freezes`, with a reason. `origins` names, for
    each rule that was stated, the object that won.

    `checks` (HTTP), `grpc`, `jobs` and `queries` are what a release that runs must pass, all within
    `verification_seconds`; `on_inconclusive` is what becomes of it when nobody can tell. For `watch_seconds`
    after that it is looked at every `watch_interval_seconds`, and goes back when it turns unhealthy.

    `gitops`: the release is written to Git and applied by a controller (None: the engine applies it itself).
    """

    approvals: int = Field(default=0, ge=0, le=20)
    approver_roles: tuple[str, ...] = ()
    allow_own_commit: bool = False
    approval_lasts_seconds: float = 7 * 86_400
    gate_lasts_seconds: float = 30 * 86_400
    stability_seconds: float = 3
    deadline_seconds: float = 300
    checks: tuple[HttpCheck, ...] = (HttpCheck(),)
    strategy: Strategy | None = None
    hooks_before: tuple[Hook, ...] = ()
    hooks_after: tuple[Hook, ...] = ()
    source: str = "default"
    approver_groups: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    soak_seconds: float = Field(default=0, ge=0)
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    override_roles: tuple[str, ...] = ()
    requires: tuple[Requirement, ...] = ()
    external: tuple[External, ...] = ()
    origins: dict[str, str] = {}
    grpc: tuple[GrpcCheck, ...] = ()
    jobs: tuple[JobCheck, ...] = ()
    queries: tuple[QueryCheck, ...] = ()
    verification_seconds: float = Field(default=300, gt=0)
    on_inconclusive: OnInconclusive = "hold"
    watch_seconds: float = Field(default=0, ge=0)
    watch_interval_seconds: float = Field(default=30, gt=0)
    gitops: GitOps | None = None

    @property
    def gated(self) -> bool:
        """Whether anything stands before the lane."""
        timed = self.windows or self.freezes
        return bool(self.approvals or self.soak_seconds or timed or self.requires or self.external)


# When something may go in says nothing of what was approved; nor does where a rule comes from.
_NOT_APPROVED = {"source", "origins", "windows", "freezes", "override_roles"}


def fingerprint(policy: StepPolicy) -> str:
    """What an approval is bound to besides the digest: the rules under which it was given.

    Rules that are at their defaults leave it as it is, so that a newer version with more rules voids nothing.
    """
    stated = policy.model_dump(mode="json", exclude=_NOT_APPROVED, exclude_defaults=True)
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]
