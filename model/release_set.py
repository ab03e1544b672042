"""A release set: releases of several components that go in together, and go back together."""

import hashlib
from typing import Literal

from pydantic import Field

from model.actor import Actor
from model.component import Component
from model.gate import Approval, GateState
from model.lane import LaneSettled
from model.pipeline import EnvironmentStep, Pipeline
from model.release import Release
from model.value import State, Value

MEMBERS_LIMIT = 50
ORDERS_KEPT = 100

MemberPhase = Literal[
    "pending",
    "deploying",
    "held",
    "inconclusive",
    "healthy",
    "unchanged",
    "failed",
    "rolled-back",
    "stuck",
    "overtaken",
    "refused",
    "skipped",
    "restoring",
    "restore-held",
    "restored",
    "left",
    "restore-failed",
]
EnvironmentPhase = Literal[
    "pending",
    "at-gate",
    "deploying",
    "healthy",
    "restoring",
    "rolled-back",
    "failed",
    "rejected",
    "expired",
    "cancelled",
    "skipped",
]

GOOD: frozenset[MemberPhase] = frozenset({"healthy", "unchanged"})
WAITING: frozenset[MemberPhase] = frozenset({"pending", "deploying", "held", "inconclusive"})
BROKEN: frozenset[MemberPhase] = frozenset({"failed", "rolled-back", "stuck", "overtaken", "refused"})
# What may have changed something that has not been taken back yet.
TO_RESTORE: frozenset[MemberPhase] = frozenset({"deploying", "held", "inconclusive", "healthy", "failed"})
NOT_BACK: frozenset[MemberPhase] = frozenset({"stuck", "restore-failed"})
_DEPLOYED: dict[str, MemberPhase] = {
    "healthy": "healthy",
    "rolled-back": "rolled-back",
    "stuck": "stuck",
    "superseded": "overtaken",
    "cancelled": "overtaken",
    "held": "held",
    "inconclusive": "inconclusive",
    "refused": "refused",
}
_RESTORED: dict[str, MemberPhase] = {
    "healthy": "restored",
    "held": "restore-held",
    "superseded": "left",
    "cancelled": "left",
}


class ReleaseSetRequest(Value):
    """Which releases go in together. They belong to one project; `until` is the last environment wanted.

    `order` (components' names) wins over their dependencies; empty: those decide. `allow_older` is a person's
    word that releases older than the last good ones are meant.
    """

    name: str
    namespace: str
    project: str
    releases: tuple[Release, ...] = Field(min_length=1, max_length=MEMBERS_LIMIT)
    order: tuple[str, ...] = ()
    until: str
    actor: Actor
    reason: str = ""
    allow_older: bool = False

    @property
    def digest(self) -> str:
        """What an approval of the set is bound to: every member and every digest."""
        members = sorted(f"{release.component}={release.digest}" for release in self.releases)
        return f"sha256:{hashlib.sha256(chr(10).join(members).encode()).hexdigest()}"


class SetOrder(Value):
    """A person's word to a set under way, sent as an update; `id` makes it idempotent.

    `cancel`: what has been changed in the environment under way goes back, and nothing more happens.
    """

    id: str
    kind: Literal["cancel"] = "cancel"
    actor: Actor
    reason: str = ""
    proof: str = ""


class MemberState(Value):
    """How far one component of the set has come in one environment, and why it waits there.

    `request` is what its lane was asked with; `since` seconds since the epoch.
    """

    component: str
    release: str
    phase: MemberPhase = "pending"
    reason: str = ""
    message: str = ""
    revision: int = 0
    request: str = ""
    since: float = 0


class EnvironmentState(Value):
    """How far the set has come in one environment; every component has its line."""

    environment: str
    phase: EnvironmentPhase = "pending"
    reason: str = ""
    message: str = ""
    since: float = 0
    gate: GateState | None = None
    members: dict[str, MemberState] = {}


class Taken(Value):
    """What a set has asked of one lane, and so what can be taken back there."""

    component: Component
    step: EnvironmentStep
    release: Release
    request: str


class ReleaseSetState(State):
    """All that a release set knows. `after` is the order: who waits for whom. `outcome` is empty until the end."""

    request: ReleaseSetRequest
    components: dict[str, Component] = {}
    pipelines: dict[str, Pipeline] = {}
    after: dict[str, tuple[str, ...]] = {}
    environments: dict[str, EnvironmentState] = {}
    approvals: list[Approval] = []
    settled: dict[str, LaneSettled] = {}
    cancelled: SetOrder | None = None
    orders: list[str] = []
    outcome: str = ""
    message: str = ""


class SetRollbackRequest(Value):
    """A finished set is taken back in one environment: what it changed there, in reverse order."""

    id: str
    set: str
    name: str
    namespace: str
    project: str
    environment: str
    taken: tuple[Taken, ...] = Field(min_length=1, max_length=MEMBERS_LIMIT)
    after: dict[str, tuple[str, ...]] = {}
    actor: Actor
    reason: str = ""
    proof: str = ""


class SetRollbackState(State):
    """All that the way back of a finished set knows. `outcome` is empty until the end."""

    request: SetRollbackRequest
    members: dict[str, MemberState] = {}
    settled: dict[str, LaneSettled] = {}
    outcome: str = ""
    message: str = ""


def deployed(answer: LaneSettled) -> MemberPhase:
    """What a lane's answer to a deployment makes of a member."""
    if answer.result == "healthy" and answer.reason == "AlreadyRunning":
        return "unchanged"
    return _DEPLOYED.get(answer.result, "failed")


def restored(answer: LaneSettled) -> MemberPhase:
    """What a lane's answer to a compensation makes of a member; where nothing ran before, it stays."""
    if answer.reason == "NothingToGoBackTo":
        return "left"
    return _RESTORED.get(answer.result, "restore-failed")


def stops(environment: EnvironmentState) -> bool:
    """Whether one of the set has failed, so that no further one is begun."""
    return any(member.phase in BROKEN for member in environment.members.values())


def may_begin(name: str, after: dict[str, tuple[str, ...]], environment: EnvironmentState) -> bool:
    """Whether everything that must be there before this component is."""
    return all(environment.members[before].phase in GOOD for before in after.get(name, ()))


def why_broken(environment: EnvironmentState) -> str:
    """Which component failed first of all, and why, in words."""
    broken = sorted(
        (member for member in environment.members.values() if member.phase in BROKEN), key=lambda one: one.since
    )
    return "; ".join(f"{member.component}: {member.reason}: {member.message}" for member in broken[:3])


def not_back(members: dict[str, MemberState]) -> str:
    """Which components could not be taken back, and why; empty when all were."""
    return "; ".join(
        f"{member.component}: {member.reason}: {member.message}"
        for member in members.values()
        if member.phase in NOT_BACK
    )


def pipeline_of(pipelines: dict[str, Pipeline]) -> tuple[str, str]:
    """Why these pipelines are not one that the set can walk (reason, message); empty reason when they are."""
    shapes = {
        name: tuple((step.environment, step.plane, step.sources) for step in pipeline.steps)
        for name, pipeline in pipelines.items()
    }
    names = sorted(shapes)
    for other in names[1:]:
        if shapes[other] != shapes[names[0]]:
            return "PipelinesDiffer", f"{names[0]} and {other} have different pipelines; promote them one by one."
    return "", ""
