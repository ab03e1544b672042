"""What people decide about what ran: undo, accept, pin, mark and diff, through the API."""

from pathlib import Path

import pytest

from model import ids
from model.actor import Actor
from model.component import Component
from model.key import ComponentKey
from model.lane import Answer, LaneState, Order, Revision
from model.mark import Mark
from model.pipeline import EnvironmentStep
from model.release import Release
from model.workload import Variable, Workload
from tests.triggers.fakes import release
from tests.triggers.serving import Parts, authorized, serving
from triggers.runs import Run

KEY = ComponentKey(name="hello-world")
BASE = "/api/v1/components/default/hello-world"


def configured(number: int, *variables: Variable) -> Release:
    return release(number).model_copy(update={"workload": Workload(variables=variables)})


ONE = configured(1, Variable(name="COLOUR", value="red"), Variable(name="KEY", secret="shop", key="one"))
TWO = configured(2, Variable(name="COLOUR", value="blue"), Variable(name="KEY", secret="shop", key="two"))


def lane(environment: str, *releases: Release) -> LaneState:
    history = [
        Revision(number=at, release=each, kind="deploy", actor=Actor(), result="healthy", started_at=at)
        for at, each in enumerate(releases, start=1)
    ]
    return LaneState(
        component=Component(key=KEY),
        step=EnvironmentStep(environment=environment),
        current=releases[-1],
        last_good=releases[-1],
        history=history,
        next_revision=len(history) + 1,
    )


def parts(**lanes: LaneState) -> Parts:
    made = Parts()
    for environment, state in lanes.items():
        made.runs.put(Run(ids.lane(KEY, environment), "RUNNING", started_at=1), state=state)
    made.runs.answers["order"] = Answer(accepted=True, reason="Done", message="As you say.")
    made.releases.kept = {each.name: each for each in (ONE, TWO)}
    return made


async def test_a_difference_tells_values_but_secrets_by_reference_only(tmp_path: Path) -> None:
    made = parts(production=lane("production", ONE, TWO))
    async with serving(made, tmp_path) as client:
        answer = await client.get(f"{BASE}/lanes/production/diff", headers=authorized())
    found = answer.json()
    assert (found["before"]["revision"], found["after"]["revision"], found["same"]) == (1, 2, False)
    settings = {each["name"]: (each["before"], each["after"]) for each in found["settings"]}
    assert settings["env COLOUR"] == ("red", "blue")
    assert settings["env KEY"] == ("secret shop, key one", "secret shop, key two")
    changed = [line for line in found["manifests"].splitlines() if line.startswith(("-", "+"))]
    assert any("blue" in line for line in changed)
    assert not any("towpath.dev/fence" in line for line in changed), "what is always different is left out"


async def test_environments_are_compared_and_what_is_the_same_is_said_to_be(tmp_path: Path) -> None:
    made = parts(production=lane("production", ONE), staging=lane("staging", ONE, TWO))
    url = f"{BASE}/lanes/production/diff"
    async with serving(made, tmp_path) as client:
        other = (await client.get(f"{url}?with=staging", headers=authorized())).json()
        same = (await client.get(f"{url}?revision=1&to=1", headers=authorized())).json()
        both = await client.get(f"{url}?with=staging&revision=1", headers=authorized())
        unknown = await client.get(f"{url}?revision=7", headers=authorized())
        nothing = await client.get(url, headers=authorized())
    assert (other["before"]["environment"], other["after"]["environment"]) == ("production", "staging")
    assert (same["same"], same["manifests"]) == (True, "")
    assert (both.status_code, both.json()["reason"]) == (409, "TwoQuestions")
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "RevisionNotFound")
    assert (nothing.status_code, nothing.json()["reason"]) == (409, "NothingToCompare")


async def test_a_mark_is_kept_and_told_to_every_lane_and_lets_nobody_promote_it(tmp_path: Path) -> None:
    made = parts(production=lane("production", ONE), staging=lane("staging", ONE, TWO))
    async with serving(made, tmp_path) as client:
        bad = {"word": "bad", "reason": "loses invoices"}
        marked = await client.post(f"{BASE}/releases/{TWO.name}/mark", headers=authorized(), json=bad)
        promoted = await client.post(f"{BASE}/promotions", headers=authorized(), json={"release": TWO.name})
        deploying = {"release": TWO.name}
        deployed = await client.post(f"{BASE}/lanes/staging/deploy", headers=authorized(), json=deploying)
        listed = (await client.get(f"{BASE}/releases", headers=authorized())).json()
        newest = await client.post(f"{BASE}/promotions", headers=authorized(), json={})
    assert marked.status_code == 200, marked.text
    assert made.marks.kept[TWO.name] == Mark(word="bad", reason="loses invoices", by="Ada", at=1_700_000_000.0)
    for refused in (promoted, deployed):
        assert (refused.status_code, refused.json()["reason"]) == (409, "ReleaseMarkedBad")
        assert "loses invoices" in refused.json()["detail"]
    assert [(each["name"], each["mark"] and each["mark"]["word"]) for each in listed] == [
        (TWO.name, "bad"),
        (ONE.name, None),
    ]
    assert newest.json()["workflow"] == ids.promotion(KEY, ONE.name), "the newest that nobody marked bad"


@pytest.mark.parametrize("kind", ["undo", "accept", "pin", "unpin"])
async def test_a_persons_word_reaches_the_lane_with_its_reason(tmp_path: Path, kind: str) -> None:
    made = parts(production=lane("production", ONE, TWO))
    async with serving(made, tmp_path) as client:
        headers = authorized() | {"Idempotency-Key": "k1"}
        answer = await client.post(f"{BASE}/lanes/production/{kind}", headers=headers, json={"reason": "why"})
    assert answer.is_success, answer.text
    workflow, update, order = made.runs.updates["k1"]
    assert (workflow, update) == (ids.lane(KEY, "production"), "order")
    assert isinstance(order, Order)
    assert (order.kind, order.reason, order.actor.name) == (kind, "why", "Ada")
