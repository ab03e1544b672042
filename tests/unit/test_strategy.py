"""What a policy says of how a release takes over, and the objects that come of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model.failure import UserFailure
from model.manifests import bundle
from model.manifests.rollout import beside_name, narrowed, steered_services
from model.progress import HASH
from model.resources.strategy import StrategyRules
from model.rollout import RolloutRequest
from model.stated_strategy import strategy
from model.strategy import CanaryStep, Strategy, canary_steps, pause_index
from model.workload import Workload
from tests.rollouts import request, with_policy

CANARY = Strategy(kind="canary", steps=(CanaryStep(weight=20), CanaryStep(weight=60)))
BLUE_GREEN = Strategy(kind="blueGreen", scale_down_delay_seconds=7)


def stated(rules: dict[str, Any]) -> Strategy:
    return strategy(StrategyRules.model_validate(rules), "spec.strategy")


def under(chosen: Strategy | None, **more: Any) -> RolloutRequest:
    return with_policy(request(**more), strategy=chosen)


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({"rolling": {}}, Strategy(kind="rolling")),
        (
            {"rolling": {"maxSurge": "25%", "maxUnavailable": 1}},
            Strategy(kind="rolling", max_surge="25%", max_unavailable="1"),
        ),
        ({"blueGreen": {}}, Strategy(kind="blueGreen")),
        (
            {"blueGreen": {"autoPromote": False, "scaleDownDelay": "2m"}},
            Strategy(kind="blueGreen", person=True, scale_down_delay_seconds=120),
        ),
        (
            {"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "5m"}}, {"setWeight": 50}]}},
            Strategy(kind="canary", steps=(CanaryStep(weight=10, pause_seconds=300), CanaryStep(weight=50))),
        ),
        (
            {"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "1m"}}, {"pause": {}}]}},
            Strategy(kind="canary", steps=(CanaryStep(weight=10, pause_seconds=60, person=True),)),
        ),
    ],
)
def test_a_stated_strategy_is_read(rules: dict[str, Any], wanted: Strategy) -> None:
    assert stated(rules) == wanted


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({}, "spec.strategy: name one of"),
        ({"rolling": {}, "blueGreen": {}}, "spec.strategy: name one of"),
        ({"rolling": {"maxSurge": 0}}, "spec.strategy.rolling: maxSurge and maxUnavailable"),
        ({"rolling": {"maxSurge": "0%", "maxUnavailable": "0%"}}, "spec.strategy.rolling"),
        ({"rolling": {"maxSurge": "many"}}, "spec.strategy.rolling.maxSurge"),
        ({"rolling": {"maxUnavailable": "101%"}}, "spec.strategy.rolling.maxUnavailable"),
        ({"rolling": {"maxSurge": -1}}, "spec.strategy.rolling.maxSurge"),
        ({"blueGreen": {"scaleDownDelay": "2d"}}, "spec.strategy.blueGreen.scaleDownDelay"),
        ({"canary": {"steps": []}}, "spec.strategy.canary.steps: name at least one"),
        ({"canary": {"steps": [{"pause": {}}]}}, "spec.strategy.canary.steps.0: the first step sets a weight"),
        ({"canary": {"steps": [{}]}}, "spec.strategy.canary.steps.0: a step has either"),
        ({"canary": {"steps": [{"setWeight": 5, "pause": {}}]}}, "spec.strategy.canary.steps.0"),
        ({"canary": {"steps": [{"setWeight": 50}, {"setWeight": 50}]}}, "steps.1.setWeight: 50 must be above 50"),
        ({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}, {"setWeight": 20}]}}, "steps.2.setWeight"),
        ({"canary": {"steps": [{"setWeight": 5}, {"pause": {"duration": "soon"}}]}}, "steps.1.pause.duration"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(rules: dict[str, Any], field: str) -> None:
    with pytest.raises((UserFailure, ValidationError)) as refused:
        stated(rules)
    words = field.split(".")[-1].split(":")[0]
    assert field in str(refused.value) or words in str(refused.value)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20, unique=True))
def test_the_controller_waits_after_every_weight_and_never_goes_on_by_itself(weights: list[int]) -> None:
    chosen = stated({"canary": {"steps": [{"setWeight": weight} for weight in sorted(weights)]}})
    steps = canary_steps(chosen)
    assert len(chosen.stops) == len(weights)
    for stop, step in enumerate(chosen.stops):
        assert steps[pause_index(stop)] == {"pause": {}}
        assert steps[pause_index(stop) - 1] == {"setWeight": step.weight}


def test_a_rollout_has_the_very_template_of_the_deployment() -> None:
    plain, canary = bundle.parts(under(None)), bundle.parts(under(CANARY), strategy=CANARY)
    assert (plain.workload["kind"], canary.workload["kind"]) == ("Deployment", "Rollout")
    assert plain.template == canary.template
    assert plain.workload["spec"]["selector"] == canary.workload["spec"]["selector"]
    assert plain.workload["metadata"]["name"] == canary.workload["metadata"]["name"]


@pytest.mark.parametrize("chosen", [CANARY, BLUE_GREEN], ids=lambda chosen: chosen.kind)
def test_going_back_has_no_stops(chosen: Strategy) -> None:
    there, back = under(chosen), under(chosen).model_copy(update={"going_back": True})
    forward = bundle.parts(there, strategy=chosen).workload["spec"]
    returning = bundle.parts(back, strategy=chosen).workload["spec"]
    if chosen.kind == "canary":
        assert forward["strategy"]["canary"]["steps"] == canary_steps(chosen)
        assert "steps" not in returning["strategy"]["canary"]
    else:
        assert forward["strategy"]["blueGreen"]["autoPromotionEnabled"] is False
        assert returning["strategy"]["blueGreen"]["autoPromotionEnabled"] is True
    assert forward["progressDeadlineAbort"] is True
    assert returning["progressDeadlineAbort"] is False


@pytest.mark.parametrize("chosen", [CANARY, BLUE_GREEN], ids=lambda chosen: chosen.kind)
def test_a_service_beside_leads_to_the_new_release_alone(chosen: Strategy) -> None:
    asked = under(chosen)
    services = {
        obj["metadata"]["name"]: obj
        for obj in bundle.parts(asked, strategy=chosen).around
        if obj["kind"] == "Service"
    }
    assert set(services) == {"web", beside_name(asked.target, chosen)}
    assert beside_name(asked.target, chosen) in steered_services(asked.target, chosen)


def test_a_rolling_strategy_is_a_deployment_within_its_limits() -> None:
    rolling = Strategy(kind="rolling", max_surge="50%", max_unavailable="1")
    workload = bundle.parts(under(rolling)).workload
    assert bundle.wanted_strategy(under(rolling)) is None
    assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "50%", "maxUnavailable": 1}


def test_nothing_to_switch_is_refused_and_a_scheduled_task_has_no_strategy() -> None:
    worker = under(BLUE_GREEN, workload=Workload(kind="worker"))
    with pytest.raises(UserFailure, match="no endpoint"):
        bundle.parts(worker, strategy=BLUE_GREEN)
    bundle.parts(under(CANARY, workload=Workload(kind="worker")), strategy=CANARY)
    assert (
        bundle.wanted_strategy(under(CANARY, workload=Workload(kind="scheduled-task", schedule="@daily"))) is None
    )


def test_writing_a_service_never_opens_it_to_unproven_pods() -> None:
    rendered = {"spec": {"selector": {"a": "b"}, "ports": []}}
    steered = {"spec": {"selector": {"a": "b", HASH: "old"}}}
    fresh = {"status": {"stableRS": "stable"}}
    assert narrowed(rendered, steered, fresh)["spec"]["selector"] == {"a": "b", HASH: "old"}
    assert narrowed(rendered, {"spec": {"selector": {"a": "b"}}}, fresh)["spec"]["selector"][HASH] == "stable"
    assert narrowed(rendered, None, None) == rendered
