"""What people are told about gates: which rule, from where, what is missing, and what would happen now."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from model import ids
from model.component import Component
from model.forecast import Forecast
from model.gate import Approval, GateItem, GateState
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState, Revision
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.promotion import PromotionRequest, PromotionState, StepState
from model.release import Release
from model.window import Freeze
from tests.triggers.fakes import FakeReleases, FakeRules, release
from tests.triggers.serving import VIEWING, Parts, authorized, serving
from tests.triggers.test_webhooks import assert_problem
from triggers.commandline.gating import exit_of
from triggers.runs import Run
from triggers.views import DryRun, Explanation, FreezeView

KEY = ComponentKey(name="hello-world")
BASE = "/api/v1/components/default/hello-world"
FREEZES = "/api/v1/namespaces/default/freezes"
NOW = 1_700_000_000.0
COMPONENT = Component(key=KEY, uid="u")
NEW = release(2)
OLD = release(1)


def site(**policy: object) -> Parts:
    """staging -> production with these rules, and two releases."""
    gated = StepPolicy.model_validate(policy)
    steps = (
        EnvironmentStep(environment="staging"),
        EnvironmentStep(environment="production", sources=("staging",), production=True, policy=gated),
    )
    return Parts(
        releases=FakeReleases(OLD, NEW), rules=FakeRules(COMPONENT, Pipeline(name="default", steps=steps))
    )


def runs_in(parts: Parts, environment: str, running: Release, **state: object) -> None:
    """A lane with one healthy revision."""
    workflow = ids.lane(KEY, environment)
    revision = Revision(
        number=1,
        release=running,
        kind="deploy",
        actor={},
        result="healthy",
        started_at=NOW - 90,
        finished_at=NOW - 60,
    )
    lane = LaneState.model_validate(
        {
            "component": COMPONENT,
            "step": EnvironmentStep(environment=environment),
            "current": running,
            "last_good": running,
            "history": [revision],
            **state,
        }
    )
    parts.runs.put(Run(workflow, "RUNNING", started_at=1), state=lane)


async def dry_run(client: httpx.AsyncClient, **query: str) -> dict[str, Forecast]:
    answer = await client.get(f"{BASE}/dry-run", headers=authorized(VIEWING), params=query)
    assert answer.status_code == 200, answer.text
    return {step.environment: step for step in DryRun.model_validate(answer.json()).steps}


async def test_a_dry_run_says_what_each_environment_would_do_and_changes_nothing(tmp_path: Path) -> None:
    freeze = Freeze(start=NOW - 1, end=NOW + 3600, reason="move")
    parts = site(approvals=2, soak_seconds=3600, freezes=[freeze])
    runs_in(parts, "staging", OLD)
    async with serving(parts, tmp_path) as client:
        steps = await dry_run(client)
        assert steps["staging"].outcome == "goes-in"
        assert steps["production"].outcome == "after"
        gate = steps["production"].gate
        assert gate is not None
        assert {item.kind for item in gate.requirements if not item.met} == {"approvals", "soak", "freeze"}
        assert exit_of(tuple(steps.values())) == 3

        runs_in(parts, "staging", NEW)
        steps = await dry_run(client)
        assert (steps["staging"].outcome, steps["production"].outcome) == ("runs", "waits")
        assert "Waits for 2 more" in steps["production"].message
        soak = next(item for item in steps["production"].gate.requirements if item.kind == "soak")  # type: ignore[union-attr]
        assert soak.until == NOW - 60 + 3600
    assert not parts.runs.updates
    assert not parts.runs.started


async def test_a_dry_run_of_what_nothing_holds_up_goes_everywhere(tmp_path: Path) -> None:
    parts = site()
    async with serving(parts, tmp_path) as client:
        steps = await dry_run(client)
        assert [step.outcome for step in steps.values()] == ["goes-in", "after"]
        assert exit_of(tuple(steps.values())) == 0
        assert list(await dry_run(client, until="staging")) == ["staging"]


async def test_a_dry_run_asks_the_lane_as_well(tmp_path: Path) -> None:
    parts = site()
    runs_in(parts, "staging", NEW, hold={"actor": {"name": "ada"}, "reason": "inventory", "since": 1})
    runs_in(parts, "production", NEW)
    async with serving(parts, tmp_path) as client:
        assert {step.outcome for step in (await dry_run(client)).values()} == {"runs"}
        held = site()
        runs_in(held, "staging", OLD, hold={"actor": {"name": "ada"}, "reason": "inventory", "since": 1})
    async with serving(held, tmp_path) as client:
        step = (await dry_run(client))["staging"]
        assert (step.outcome, step.reason) == ("held", "LaneHeld")
        assert "inventory" in step.message


async def test_explain_names_the_object_of_each_rule_and_what_the_waiting_release_misses(tmp_path: Path) -> None:
    parts = site(approvals=2, origins={"approvals": "PromotionPolicy strict"})
    promotion = ids.promotion(KEY, NEW.name)
    waits = LaneRequest(
        id="c",
        kind="candidate",
        component=COMPONENT,
        step=EnvironmentStep(environment="production"),
        release=NEW,
        promotion=promotion,
    )
    runs_in(parts, "production", OLD, candidates=[waits])
    missing = GateItem(kind="approvals", met=False, reason="AwaitingApproval", message="Waits for 1 more.")
    gate = GateState(
        environment="production", open=False, reason="AwaitingApproval", message="Waits.", requirements=(missing,)
    )
    step = StepState(environment="production", phase="at-gate", reason=gate.reason, message="Waits.", gate=gate)
    state = PromotionState(request=PromotionRequest(release=NEW), steps={"production": step})
    parts.runs.put(Run(promotion, "RUNNING", started_at=1), state=state)
    async with serving(parts, tmp_path) as client:
        answer = await client.get(f"{BASE}/lanes/production/explain", headers=authorized(VIEWING))
        found = Explanation.model_validate(answer.json())
        rules = {rule.rule: rule for rule in found.rules}
        assert (rules["approvals"].value, rules["approvals"].source) == ("2", "PromotionPolicy strict")
        [one] = found.releases
        assert (one.release, one.waiting, one.gate) == (NEW.name, True, gate)
        unknown = await client.get(f"{BASE}/lanes/nowhere/explain", headers=authorized(VIEWING))
        assert "staging, production" in assert_problem(unknown, 400, "UnknownEnvironment")["detail"]


async def test_explain_tries_the_newest_release_where_none_waits(tmp_path: Path) -> None:
    parts = site(approvals=1)
    runs_in(parts, "staging", NEW)
    async with serving(parts, tmp_path) as client:
        answer = await client.get(f"{BASE}/lanes/production/explain", headers=authorized(VIEWING))
        [one] = Explanation.model_validate(answer.json()).releases
        assert (one.release, one.waiting, one.reason) == (NEW.name, False, "AwaitingApproval")


async def test_words_are_taken_back_and_windows_passed_at_the_gate(tmp_path: Path) -> None:
    parts = site(approvals=2)
    promotion = ids.promotion(KEY, NEW.name)
    waits = LaneRequest(
        id="c",
        kind="candidate",
        component=COMPONENT,
        step=EnvironmentStep(environment="production"),
        release=NEW,
        promotion=promotion,
    )
    runs_in(parts, "production", OLD, candidates=[waits])
    parts.runs.put(Run(promotion, "RUNNING", started_at=1))
    parts.runs.answers["approve"] = Answer(accepted=True, reason="Taken", message="ok")
    body = {"environment": "production", "reason": "outage"}
    async with serving(parts, tmp_path) as client:
        for kind in ("revoke", "override"):
            headers: Mapping[str, str] = {**authorized(), "Idempotency-Key": kind}
            assert (await client.post(f"{BASE}/{kind}", headers=headers, json=body)).status_code == 200
    sent = {update_id: said for update_id, (_, _, said) in parts.runs.updates.items()}
    for kind in ("revoke", "override"):
        said = sent[kind]
        assert isinstance(said, Approval)
        assert (said.kind, said.digest, said.actor.name, said.reason) == (kind, NEW.digest, "Ada", "outage")


async def test_a_freeze_is_made_once_listed_and_lifted(tmp_path: Path) -> None:
    parts = site()
    body = {"begins": "2026-12-24", "ends": "2027-01-02", "environment": "production", "reason": "holidays"}
    async with serving(parts, tmp_path) as client:
        headers = {**authorized(), "Idempotency-Key": "one"}
        first = await client.post(FREEZES, headers=headers, json=body)
        again = await client.post(FREEZES, headers=headers, json=body)
        assert (first.status_code, first.json()["duplicate"], again.json()["duplicate"]) == (201, False, True)
        listed = [FreezeView.model_validate(each) for each in (await client.get(FREEZES, headers=headers)).json()]
        assert [(each.environment, each.by, each.ends) for each in listed] == [("production", "Ada", "2027-01-02")]
        assert (await client.delete(f"{FREEZES}/{listed[0].name}", headers=headers)).status_code == 200
        gone = await client.delete(f"{FREEZES}/{listed[0].name}", headers=headers)
        assert_problem(gone, 404, "FreezeNotFound")
        assert not parts.kept_freezes.kept


async def test_a_freeze_that_cannot_be_is_refused_with_its_field(tmp_path: Path) -> None:
    parts = site()
    async with serving(parts, tmp_path) as client:
        backwards = {"begins": "2027-01-02", "ends": "2026-12-24"}
        answer = await client.post(FREEZES, headers=authorized(), json=backwards)
        assert "until" in assert_problem(answer, 400, "BadFreeze")["detail"]
        nowhere = {"begins": "2026-12-24", "ends": "2026-12-25", "time_zone": "Mars/Base"}
        assert_problem(await client.post(FREEZES, headers=authorized(), json=nowhere), 400, "UnknownTimeZone")
        looking = {"begins": "2026-12-24", "ends": "2026-12-25"}
        assert_problem(await client.post(FREEZES, headers=authorized(VIEWING), json=looking), 403, "RoleMissing")
    assert not parts.kept_freezes.kept
