"""The walk of one release through its pipeline, environment by environment."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.component import Component
from model.gate import Approval, GateState
from model.lane import LaneSettled
from model.pipeline import Pipeline
from model.release import Release
from model.value import State, Value

StepPhase = Literal[
    "pending",
    "at-gate",
    "held",
    "deploying",
    "healthy",
    "rolled-back",
    "failed",
    "rejected",
    "expired",
    "superseded",
    "skipped",
]
FINAL: frozenset[StepPhase] = frozenset(
    {"healthy", "rolled-back", "failed", "rejected", "expired", "superseded", "skipped"}
)


class PromotionRequest(Value):
    """What a Promotion is started with. `until` names the last environment wanted; empty means all.

    `actor` is who wanted it: a person's promotion is not held back by a newer release that waits. With
    `allow_older` it may go below what is good in an environment; `pinned`, newer releases do not supersede it.
    """

    release: Release
    until: str = ""
    actor: Actor = AUTOMATION
    pinned: bool = False
    allow_older: bool = False


class StepState(Value):
    """How far the release has come in one environment, and why it waits there."""

    environment: str
    phase: StepPhase = "pending"
    reason: str = ""
    message: str = ""
    revision: int = 0
    since: float = 0
    gate: GateState | None = None


class PromotionState(State):
    """All that a promotion knows."""

    request: PromotionRequest
    component: Component | None = None
    pipeline: Pipeline | None = None
    steps: dict[str, StepState] = {}
    approvals: list[Approval] = []
    settled: dict[str, LaneSettled] = {}
    superseded_by: dict[str, str] = {}


def blocked_by(sources: tuple[str, ...], steps: dict[str, StepState]) -> str:
    """The first source environment that has ended other than healthy; empty when none has."""
    for source in sources:
        if steps[source].phase in FINAL and steps[source].phase != "healthy":
            return source
    return ""


def sources_passed(sources: tuple[str, ...], steps: dict[str, StepState]) -> bool:
    """Fan-in: every source environment is healthy with this same release."""
    return all(steps[source].phase == "healthy" for source in sources)


def summary(state: PromotionState) -> tuple[str, str]:
    """How the whole walk ended: a stable reason and a message."""
    steps = list(state.steps.values())
    if steps and all(step.phase == "healthy" for step in steps):
        return "Arrived", "Healthy in every environment."
    for phase, reason in (
        ("failed", "Failed"),
        ("rolled-back", "RolledBack"),
        ("rejected", "Rejected"),
        ("expired", "Expired"),
        ("superseded", "Superseded"),
    ):
        for step in steps:
            if step.phase == phase:
                return reason, f"{step.environment}: {step.message}"
    return "Ended", "Nothing was left to do."
