"""The gate before a lane: approvals, and what is still missing."""

from model.actor import Actor
from model.policy import StepPolicy
from model.release import Release
from model.value import Value


class Approval(Value):
    """A person's yes or no to one digest in one environment; `id` makes it idempotent."""

    id: str
    environment: str
    digest: str
    actor: Actor
    approve: bool = True
    reason: str = ""
    at: float = 0
    proof: str = ""


class GateState(Value):
    """Why a promotion waits before an environment, for people and for scripts."""

    environment: str
    open: bool
    reason: str
    message: str
    needed: int = 0
    given: int = 0


def refusal(approval: Approval, release: Release, policy: StepPolicy) -> tuple[str, str] | None:
    """Why this approval must be refused (reason, message), or None when it may count."""
    if approval.digest != release.digest:
        return (
            "DigestMismatch",
            f"This gate is for {release.name} ({release.digest[:19]}), not for {approval.digest[:19]}.",
        )
    if policy.approver_roles and not set(policy.approver_roles) & set(approval.actor.roles):
        return (
            "RoleMissing",
            f"Approving {approval.environment} needs one of: {', '.join(policy.approver_roles)}.",
        )
    if approval.approve and not policy.allow_own_commit and _is_author(approval.actor, release):
        return (
            "OwnCommit",
            f"{approval.actor.name} wrote {release.commit.id[:7]}; somebody else must approve it.",
        )
    return None


def _is_author(actor: Actor, release: Release) -> bool:
    return bool(actor.email) and actor.email.casefold() == release.commit.author_email.casefold()


def approval_state(environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> GateState:
    """Whether enough different people have approved, counting only approvals that have not lapsed."""
    standing = {
        approval.actor.name: approval
        for approval in approvals
        if approval.environment == environment and now - approval.at < policy.approval_lasts_seconds
    }
    against = [approval for approval in standing.values() if not approval.approve]
    given = sum(1 for approval in standing.values() if approval.approve)
    if against:
        who = against[0]
        return GateState(
            environment=environment,
            open=False,
            reason="Rejected",
            needed=policy.approvals,
            given=given,
            message=f"{who.actor.name} rejected it" + (f": {who.reason}" if who.reason else "."),
        )
    if given >= policy.approvals:
        return GateState(
            environment=environment,
            open=True,
            reason="Approved" if policy.approvals else "NoApprovalNeeded",
            message=f"{given} of {policy.approvals} approvals.",
            needed=policy.approvals,
            given=given,
        )
    return GateState(
        environment=environment,
        open=False,
        reason="AwaitingApproval",
        needed=policy.approvals,
        given=given,
        message=f"Waits for {policy.approvals - given} more approval(s) of {policy.approvals}.",
    )


def next_lapse(approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> float | None:
    """Seconds until the next standing approval lapses; None when there is none."""
    left = [approval.at + policy.approval_lasts_seconds - now for approval in approvals]
    return min((seconds for seconds in left if seconds > 0), default=None)
