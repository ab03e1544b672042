"""What people and scripts get from the API about release sets."""

from pathlib import Path

from model.actor import Actor
from model.component import Component
from model.failure import Conflict
from model.gate import Approval
from model.key import ComponentKey
from model.lane import Answer
from model.pipeline import EnvironmentStep, Pipeline
from model.release import Release
from model.release_set import (
    EnvironmentState,
    MemberState,
    ReleaseSetRequest,
    ReleaseSetState,
    SetOrder,
    SetRollbackRequest,
)
from tests.triggers.fakes import FakeReleases, component_object
from tests.triggers.serving import TOKEN, VIEWING, Parts, authorized, serving
from tests.triggers.test_webhooks import assert_problem
from tests.workflows.shop import member
from triggers.runs import Run

BASE = "/api/v1/projects/default/shop/sets"
ADA = authorized(TOKEN)


class Kept(FakeReleases):
    """Releases of several components."""

    async def releases(self, key: ComponentKey) -> list[Release]:
        return [release for release in self.kept.values() if release.component == key]


def parts(*releases: Release) -> Parts:
    made = Parts(releases=Kept(*releases))
    made.apiserver.objects.append(component_object("api"))
    return made


def put(made: Parts, open_: bool, phase: str = "healthy") -> ReleaseSetRequest:
    """The set `spring` of api and web, which has come so far in production."""
    releases = (member("web", 1, "api"), member("api", 1))
    request = ReleaseSetRequest(
        name="spring",
        namespace="default",
        project="shop",
        releases=releases,
        until="production",
        actor=Actor(kind="person", name="Ada"),
    )
    pipeline = Pipeline(name="default", steps=(EnvironmentStep(environment="production"),))
    members = {
        "web": MemberState(component="web", release="web-1", phase="healthy", request="w"),
        "api": MemberState(component="api", release="api-1", phase="unchanged", request="a"),
    }
    state = ReleaseSetState(
        request=request,
        components={name: Component(key=ComponentKey(name=name), project="shop") for name in members},
        pipelines=dict.fromkeys(members, pipeline),
        after={"web": ("api",), "api": ()},
        environments={
            "production": EnvironmentState.model_validate(
                {"environment": "production", "phase": phase, "members": members}
            )
        },
        outcome="" if open_ else "Arrived",
    )
    status = "RUNNING" if open_ else "COMPLETED"
    made.runs.put(Run("set/default/shop/spring", status, started_at=1), state=state)
    made.runs.answers["approve"] = Answer(accepted=True, reason="Approved", message="1 of 1 approvals.")
    made.runs.answers["order"] = Answer(accepted=True, reason="Cancelling", message="It goes back.")
    return request


async def test_the_newest_releases_of_those_named_go_in_together(tmp_path: Path) -> None:
    made = parts(member("web", 1), member("web", 2, "api"), member("api", 1))
    async with serving(made, tmp_path) as client:
        body = {"until": "staging", "releases": {"web": "", "api": "api-1"}, "name": "spring"}
        answer = await client.post(BASE, headers=ADA, json=body)
    assert answer.status_code == 202
    assert answer.json()["workflow"] == "set/default/shop/spring"
    request = made.runs.started["set/default/shop/spring"]
    assert isinstance(request, ReleaseSetRequest)
    assert {release.name for release in request.releases} == {"web-2", "api-1"}
    assert (request.actor.name, request.until) == ("Ada", "staging")


async def test_the_same_call_twice_is_one_set_and_another_one_needs_another_name(tmp_path: Path) -> None:
    made = parts(member("web", 1))
    body = {"until": "staging", "releases": {"web": ""}}
    async with serving(made, tmp_path) as client:
        first = await client.post(BASE, headers={**ADA, "Idempotency-Key": "one"}, json=body)
        again = await client.post(BASE, headers={**ADA, "Idempotency-Key": "one"}, json=body)
        assert first.json()["workflow"] == again.json()["workflow"]
        assert (first.json()["duplicate"], again.json()["duplicate"]) == (False, True)
        name = first.json()["workflow"].rpartition("/")[2]
        other = await client.post(BASE, headers={**ADA, "Idempotency-Key": "two"}, json={**body, "name": name})
        assert_problem(other, 409, "SetExists")


async def test_what_cannot_go_in_is_refused_before_anything_starts(tmp_path: Path) -> None:
    made = parts(member("web", 1, "api"), member("api", 1, "web"))
    everything = {"web": "", "api": ""}
    async with serving(made, tmp_path) as client:
        for body, reason in (
            ({"releases": everything}, "SetCycle"),
            ({"releases": everything, "order": ["web"]}, "OrderIncomplete"),
            ({"releases": {"mail": ""}}, "ReleaseNotFound"),
            ({"releases": {"web": "nosuch"}}, "ReleaseNotFound"),
        ):
            answer = await client.post(BASE, headers=ADA, json={"until": "staging", **body})
            assert_problem(answer, answer.status_code, reason)
            assert 400 <= answer.status_code < 500
        elsewhere = BASE.replace("/shop/", "/other/")
        answer = await client.post(elsewhere, headers=ADA, json={"until": "staging", "releases": {"web": ""}})
        assert_problem(answer, 409, "OtherProject")
    assert made.runs.started == {}


async def test_an_approval_is_bound_to_the_sets_digest_and_to_the_person(tmp_path: Path) -> None:
    made = parts()
    request = put(made, open_=True, phase="at-gate")
    async with serving(made, tmp_path) as client:
        viewing = await client.post(
            f"{BASE}/spring/approve", headers=authorized(VIEWING), json={"environment": "production"}
        )
        assert viewing.status_code == 403
        headers = {**ADA, "Idempotency-Key": "yes"}
        answer = await client.post(f"{BASE}/spring/approve", headers=headers, json={"environment": "production"})
        assert answer.status_code == 200, answer.text
    workflow, name, said = made.runs.updates["yes"]
    assert isinstance(said, Approval)
    assert (workflow, name) == ("set/default/shop/spring", "approve")
    assert (said.digest, said.approve, said.actor.name) == (request.digest, True, "Ada")


async def test_a_set_under_way_is_cancelled_and_not_rolled_back(tmp_path: Path) -> None:
    made = parts()
    put(made, open_=True)
    async with serving(made, tmp_path) as client:
        body = {"environment": "production"}
        assert_problem(await client.post(f"{BASE}/spring/rollback", headers=ADA, json=body), 409, "SetUnderWay")
        headers = {**ADA, "Idempotency-Key": "stop"}
        answer = await client.post(f"{BASE}/spring/cancel", headers=headers, json={"reason": "wrong day"})
        assert answer.json()["reason"] == "Cancelling"
    said = made.runs.updates["stop"][2]
    assert isinstance(said, SetOrder)
    assert (said.kind, said.reason, said.actor.name) == ("cancel", "wrong day", "Ada")


async def test_only_what_a_finished_set_changed_is_rolled_back(tmp_path: Path) -> None:
    made = parts()
    put(made, open_=False)
    async with serving(made, tmp_path) as client:
        where = f"{BASE}/spring/rollback"
        assert_problem(
            await client.post(where, headers=ADA, json={"environment": "staging"}), 409, "NothingToRollBack"
        )
        answer = await client.post(where, headers=ADA, json={"environment": "production", "reason": "why"})
        assert answer.status_code == 202
    request = made.runs.started["set-rollback/default/shop/spring/production"]
    assert isinstance(request, SetRollbackRequest)
    assert [(taken.component.key.name, taken.request) for taken in request.taken] == [("web", "w")]


async def test_sets_are_listed_and_shown_and_an_unknown_one_is_told(tmp_path: Path) -> None:
    made = parts()
    put(made, open_=False)
    async with serving(made, tmp_path) as client:
        (listed,) = (await client.get(BASE, headers=ADA)).json()
        assert (listed["name"], listed["outcome"]) == ("spring", "Arrived")
        shown = (await client.get(f"{BASE}/spring", headers=ADA)).json()
        assert shown["environments"][0]["members"]["web"]["phase"] == "healthy"
        assert_problem(await client.get(f"{BASE}/autumn", headers=ADA), 404, "SetNotFound")


async def test_a_gate_that_refuses_says_why(tmp_path: Path) -> None:
    made = parts()
    put(made, open_=True, phase="at-gate")
    made.runs.refusals["approve"] = Conflict("OwnCommit", "Ada wrote it.")
    async with serving(made, tmp_path) as client:
        answer = await client.post(f"{BASE}/spring/approve", headers=ADA, json={"environment": "production"})
        assert_problem(answer, 409, "OwnCommit")
