"""The gate before a lane: what people say there, and what it shows of itself."""

from typing import Literal

from model.actor import Actor
from model.commit import Commit
from model.policy import StepPolicy, fingerprint
from model.release import Release
from model.value import Value

REVOKED = "revoke"
OVERRIDE = "override"

ItemKind = Literal["policy", "approvals", "soak", "requires", "freeze", "window", "external"]


class Approval(Value):
    """A person's word at a gate, for one digest in one environment; `id` makes it idempotent.

    `answer` is a yes (`approve`) or no. `revoke` takes the person's own answer back while nothing has been
    applied. `override` goes past windows and freezes, with a reason. `policy` is the fingerprint of the
    rules under which it was accepted: the gate writes it, whatever was sent.
    """

    id: str
    environment: str
    digest: str
    actor: Actor
    approve: bool = True
    reason: str = ""
    at: float = 0
    kind: Literal["answer", "revoke", "override"] = "answer"
    policy: str = ""
    proof: str = ""


class GateItem(Value):
    """One rule of a gate. `until` is when that changes by itself (seconds since the epoch; 0: it does not).

    `source` names the object that the rule comes from.
    """

    kind: ItemKind
    met: bool
    reason: str
    message: str
    name: str = ""
    until: float = 0
    source: str = ""


class GateState(Value):
    """Why something waits before an environment, for people and for scripts.

    `requirements` has a line for each rule; `changes_at` is the next moment at which one of them changes by
    itself (0: none does). `closed` means for good: what waits will not go in.
    """

    environment: str
    open: bool
    reason: str
    message: str
    needed: int = 0
    given: int = 0
    requirements: tuple[GateItem, ...] = ()
    changes_at: float = 0
    closed: bool = False


class Recheck(Value):
    """Something outside has changed: look again. Nobody is let through by it.

    With `component` (a name) it is what runs of it that has changed; only gates that look at it are meant.
    """

    reason: str = ""
    component: str = ""


class GateSubject(Value):
    """What waits at a gate: a release, or several that go in as one. Approvals are bound to `digest`."""

    name: str
    digest: str
    releases: tuple[Release, ...] = ()

    @staticmethod
    def of(release: Release) -> "GateSubject":
        """A single release."""
        return GateSubject(name=release.name, digest=release.digest, releases=(release,))


def refusal(approval: Approval, subject: GateSubject, policy: StepPolicy) -> tuple[str, str] | None:
    """Why a person's word must be refused (reason, message), or None when it may count."""
    actor, environment = approval.actor, approval.environment
    if approval.digest != subject.digest:
        return (
            "DigestMismatch",
            f"This gate is for {subject.name} ({subject.digest[:19]}), not for {approval.digest[:19]}.",
        )
    if approval.kind == OVERRIDE:
        return _override_refusal(approval, policy)
    if not _may_approve(actor, policy):
        return "RoleMissing", f"Approving {environment} needs one of: {', '.join(approvers(policy))}."
    if approval.kind == "answer" and approval.approve and not policy.allow_own_commit:
        own = next((release.commit for release in subject.releases if _is_author(actor, release.commit)), None)
        if own is not None:
            return "OwnCommit", f"{actor.name} wrote {own.id[:7]}; somebody else must approve it."
    return None


def approvers(policy: StepPolicy) -> tuple[str, ...]:
    """Who may approve, in words; empty when anybody may."""
    groups = tuple(f"group {name}" for name in policy.approver_groups)
    return (*policy.approver_roles, *groups, *policy.approvers)


def _override_refusal(approval: Approval, policy: StepPolicy) -> tuple[str, str] | None:
    environment = approval.environment
    if not (policy.windows or policy.freezes):
        return "NothingToOverride", f"{environment} has neither windows nor freezes."
    if not set(policy.override_roles) & set(approval.actor.roles):
        who = (
            f"one of: {', '.join(policy.override_roles)}"
            if policy.override_roles
            else "a policy with overrideRoles"
        )
        return "RoleMissing", f"Going past the windows and freezes of {environment} needs {who}."
    if not approval.reason.strip():
        return "ReasonMissing", "Say why with --reason; it is kept."
    return None


def _may_approve(actor: Actor, policy: StepPolicy) -> bool:
    if not approvers(policy):
        return True
    return (
        bool(set(policy.approver_roles) & set(actor.roles))
        or bool(set(policy.approver_groups) & set(actor.groups))
        or actor.name in policy.approvers
    )


def _is_author(actor: Actor, commit: Commit) -> bool:
    return bool(actor.email) and actor.email.casefold() == commit.author_email.casefold()


def last_words(
    environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float
) -> list[Approval]:
    """Each person's present answer, without those that have lapsed, were taken back, or were given under
    other rules."""
    return [
        approval
        for approval in _unlapsed(environment, approvals, policy, now)
        if approval.policy in ("", fingerprint(policy))
    ]


def outdated(environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> int:
    """How many answers do not count any more because the rules have changed since."""
    kept = _unlapsed(environment, approvals, policy, now)
    return sum(1 for approval in kept if approval.policy not in ("", fingerprint(policy)))


def _unlapsed(environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> list[Approval]:
    standing: dict[str, Approval] = {}
    for approval in approvals:
        lapsed = now - approval.at >= policy.approval_lasts_seconds
        if approval.environment != environment or approval.kind == OVERRIDE or lapsed:
            continue
        standing[approval.actor.name] = approval
    return [approval for approval in standing.values() if approval.kind != REVOKED]


def override(environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> Approval | None:
    """The override that counts now, the newest one; None without."""
    found = [
        approval
        for approval in approvals
        if approval.environment == environment
        and approval.kind == OVERRIDE
        and now - approval.at < policy.approval_lasts_seconds
        and set(policy.override_roles) & set(approval.actor.roles)
    ]
    return found[-1] if found else None


def approval_state(environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> GateState:
    """Whether enough different people have approved, counting only approvals that have not lapsed."""
    words = last_words(environment, approvals, policy, now)
    against = [approval for approval in words if not approval.approve]
    given = sum(1 for approval in words if approval.approve)
    if against:
        who = against[0]
        return GateState(
            environment=environment,
            open=False,
            reason="Rejected",
            needed=policy.approvals,
            given=given,
            message=f"{who.actor.name} rejected it" + (f": {who.reason}" if who.reason else "."),
            closed=True,
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
    stale = outdated(environment, approvals, policy, now)
    said = f" The rules have changed: {stale} given before must be given again." if stale else ""
    return GateState(
        environment=environment,
        open=False,
        reason="AwaitingApproval",
        needed=policy.approvals,
        given=given,
        message=f"Waits for {policy.approvals - given} more approval(s) of {policy.approvals}.{said}",
    )


def next_lapse(approvals: tuple[Approval, ...], policy: StepPolicy, now: float) -> float | None:
    """Seconds until the next standing approval lapses; None when there is none."""
    left = [approval.at + policy.approval_lasts_seconds - now for approval in approvals]
    return min((seconds for seconds in left if seconds > 0), default=None)
