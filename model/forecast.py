"""What would happen to a release now, environment by environment, and which rules stand in its way."""

from typing import Literal

from model.component import Component
from model.gate import GateState, GateSubject
from model.gate_rules import GateFacts, gate_state
from model.lane import LaneRequest, LaneState
from model.lane_queue import take_request
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.release import Release
from model.value import Value


class Forecast(Value):
    """One environment. `runs`: it is there already. `goes-in`: nothing stands in its way. `after`: sources
    come first. `refused`: the lane would turn it away. `held`: it would wait until somebody resumes."""

    environment: str
    outcome: Literal["runs", "goes-in", "waits", "after", "held", "refused", "superseded"]
    reason: str
    message: str
    gate: GateState | None = None


class RuleShown(Value):
    """A rule of a step as text, and the object it comes from."""

    rule: str
    value: str
    source: str = "default"


def forecast(
    release: Release,
    component: Component,
    step: EnvironmentStep,
    before: tuple[Forecast, ...],
    lane: LaneState | None,
    facts: GateFacts,
    now: float,
    person: bool = True,
) -> Forecast:
    """What an environment would do with a release; `before` are the forecasts of the steps before it.

    The lane's answer is tried on a copy of its state. Restarts of pods are not looked at: that is done when a
    soak ends.
    """
    lane = (lane or LaneState()).model_copy(deep=True)
    request = LaneRequest.model_validate(
        {
            "id": "forecast",
            "kind": "deploy",
            "component": component,
            "step": step,
            "release": release,
            "promotion": "forecast",
            "actor": {"kind": "person" if person else "automation"},
        }
    )
    answers = [settled for promotion, settled in take_request(lane, request) if promotion == "forecast"]
    said = answers[-1] if answers else None
    here = step.environment
    if said is not None and said.reason == "AlreadyRunning":
        return Forecast(environment=here, outcome="runs", reason=said.reason, message=said.message)
    if said is not None and said.result in ("refused", "superseded"):
        outcome = "refused" if said.result == "refused" else "superseded"
        return Forecast.model_validate(
            {"environment": here, "outcome": outcome, "reason": said.reason, "message": said.message}
        )
    gate = gate_state(GateSubject.of(release), step, (), facts, now)
    sources = [each for each in before if each.environment in step.sources and each.outcome != "runs"]
    if sources:
        names = ", ".join(each.environment for each in sources)
        message = f"After {names}." + (f" Then: {gate.message}" if not gate.open else "")
        return Forecast(environment=here, outcome="after", reason="SourcesFirst", message=message, gate=gate)
    if not gate.open:
        return Forecast(environment=here, outcome="waits", reason=gate.reason, message=gate.message, gate=gate)
    if said is not None:
        return Forecast(environment=here, outcome="held", reason=said.reason, message=said.message, gate=gate)
    return Forecast(
        environment=here, outcome="goes-in", reason="NothingMissing", message="It is deployed at once.", gate=gate
    )


def shown(policy: StepPolicy) -> tuple[RuleShown, ...]:
    """The rules that somebody stated, and those that hold without being stated."""
    said = policy.model_dump(mode="json", exclude={"source", "origins"})
    always = ("approvals", "stability_seconds", "deadline_seconds")
    return tuple(
        RuleShown(rule=rule, value=_text(value), source=policy.origins.get(rule, "default"))
        for rule, value in said.items()
        if rule in policy.origins or rule in always
    )


def _text(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_text(each) for each in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{key}={_text(each)}" for key, each in value.items() if each not in ("", 0, None, [], {}))
    return str(value)
