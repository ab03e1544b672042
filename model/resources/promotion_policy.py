"""`towpath.dev/v1alpha1` PromotionPolicy: what must hold before and after a release enters an environment."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from model.duration import Duration
from model.resources.declared import AGE, TOWPATH, Column, Declared, Kind, Label, Status, StrictBlock, Word
from model.resources.gates import Externals, Freezes, OverrideRoles, Requires, WindowRules, checked
from model.resources.gitops import GitOpsRules
from model.resources.hooks import Hooks
from model.resources.strategy import StrategyRules
from model.resources.verification import VerificationRules


class Selector(StrictBlock):
    """Which steps it is for: all that are named must match; empty matches every step in the namespace."""

    component: Label | None = None
    project: Label | None = None
    environment: Label | None = None
    pipeline: Word | None = None


class Approvals(BaseModel):
    """How many people, of which `roles` or `groups` or named as `people`; never one's own commit unless allowed.

    `expiresAfter`: how long one approval counts. `gateExpiresAfter`: when the wait itself ends.
    """

    model_config = checked(
        (
            "!has(self.people) || !has(self.required) || has(self.roles) || has(self.groups) || "
            "self.people.size() == 0 || self.required <= self.people.size()",
            "required: more approvals than people who may give one",
        ),
    )

    required: Annotated[int, Field(ge=0, le=20)] | None = None
    roles: Annotated[list[Word], Field(max_length=20)] | None = None
    groups: Annotated[list[Word], Field(max_length=20)] | None = None
    people: Annotated[list[Word], Field(max_length=20)] | None = None
    allow_own_commit: bool | None = None
    expires_after: Duration | None = None
    gate_expires_after: Duration | None = None


class PromotionPolicySpec(StrictBlock):
    """What is absent is left to less specific policies, and in the end to the defaults."""

    selector: Selector = Selector()
    approvals: Approvals | None = None
    soak: Duration | None = None
    windows: WindowRules | None = None
    freezes: Freezes | None = None
    override_roles: OverrideRoles | None = None
    requires: Requires | None = None
    external: Externals | None = None
    stability: Duration | None = None
    deadline: Duration | None = None
    verification: VerificationRules | None = None
    strategy: StrategyRules | None = None
    gitops: GitOpsRules | None = None
    hooks: Hooks | None = None


class PromotionPolicy(Declared):
    """Rules for steps of pipelines."""

    declared_as: ClassVar[Kind] = Kind(
        group=TOWPATH,
        kind="PromotionPolicy",
        plural="promotionpolicies",
        short_names=("policy",),
        columns=(
            Column("Component", ".spec.selector.component"),
            Column("Project", ".spec.selector.project", priority=1),
            Column("Environment", ".spec.selector.environment"),
            Column("Approvals", ".spec.approvals.required", "integer"),
            AGE,
        ),
    )

    spec: PromotionPolicySpec
    status: Status | None = None
