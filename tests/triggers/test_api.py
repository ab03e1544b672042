"""What people and scripts get from the API."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.actor import Actor
from model.build import BuildRequest, BuildState
from model.commit import Commit
from model.component import Component
from model.delivery import DeliveryState
from model.failure import Conflict, UserFailure
from model.gate import Approval, GateState
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState, Order, Revision
from model.pipeline import EnvironmentStep
from model.promotion import PromotionRequest, PromotionState, StepState
from model.release import Release
from tests.triggers.fakes import COMMIT, FakeApiServer, FakeLogs, FakeReleases, component_object, release
from tests.triggers.serving import TOKEN, VIEWING, Parts, authorized, build, serving, tokens_file
from tests.triggers.test_webhooks import assert_problem
from triggers.problem import Problem
from triggers.runs import Run
from triggers.tokens import Tokens

KEY = ComponentKey(name="hello-world")
BASE = "/api/v1/components/default/hello-world"
BUILD = f"build/{KEY}/{COMMIT}/1"


def build_state(phase: str = "succeeded", number: int = 1, **changed: Any) -> BuildState:
    state = {
        "workflow": f"build/{KEY}/{COMMIT}/{number}",
        "component": KEY,
        "commit": Commit(id=COMMIT, author="Ada", subject="A change"),
        "branch": "main",
        "number": number,
        "phase": phase,
        **changed,
    }
    return BuildState.model_validate(state)


def put_build(parts: Parts, phase: str = "succeeded", number: int = 1, **changed: Any) -> None:
    state = build_state(phase, number, **changed)
    status = "RUNNING" if phase in ("admitted", "running") else "COMPLETED"
    request = BuildRequest(
        component=Component(key=KEY), commit=state.commit, branch="main", sequence=7, number=number
    )
    parts.runs.put(Run(state.workflow, status, started_at=1000 + number), state=state, request=request)


def put_lane(parts: Parts, *waiting: Release, environment: str = "production") -> None:
    step = EnvironmentStep(environment=environment)
    candidates = [
        LaneRequest(
            id=each.name,
            kind="candidate",
            component=Component(key=KEY),
            step=step,
            release=each,
            promotion=f"promotion/{KEY}/{each.name}",
        )
        for each in waiting
    ]
    history = [
        Revision(number=1, release=release(1), kind="deploy", actor=Actor(), result="healthy", started_at=1)
    ]
    state = LaneState(step=step, current=release(1), last_good=release(1), history=history, candidates=candidates)
    parts.runs.put(Run(f"lane/{KEY}/{environment}", "RUNNING", started_at=1), state=state)


def put_promotion(parts: Parts, of: Release, *steps: StepState, open_: bool = True) -> None:
    state = PromotionState(request=PromotionRequest(release=of), steps={step.environment: step for step in steps})
    status = "RUNNING" if open_ else "COMPLETED"
    parts.runs.put(Run(f"promotion/{KEY}/{of.name}", status, started_at=2000 + of.sequence), state=state)
    parts.runs.answers["approve"] = Answer(accepted=True, reason="Approved", message="1 of 1 approvals.")


AT_GATE = StepState(
    environment="production",
    phase="at-gate",
    reason="AwaitingApproval",
    message="Waits.",
    gate=GateState(
        environment="production", open=False, reason="AwaitingApproval", message="Waits.", needed=1, given=0
    ),
)


async def test_every_route_of_the_api_asks_who_you_are(tmp_path: Path) -> None:
    parts = Parts()
    routes = [
        (path, method.upper())
        for path, methods in build(parts, tmp_path).openapi()["paths"].items()
        if path.startswith("/api/v1")
        for method in methods
    ]
    assert len(routes) >= 16
    values = {"namespace": "default", "name": "hello-world", "environment": "production", "commit": COMMIT}
    values |= {"project": "default", "change": "1", "request": "k", "plane": "default"}
    async with serving(parts, tmp_path) as client:
        for path, method in routes:
            where = path.format(**values, number=1, release="r")
            for headers, reason in (
                ({}, "TokenMissing"),
                ({"Authorization": "Basic abc"}, "TokenMissing"),
                (authorized("wrong"), "TokenUnknown"),
                (authorized(TOKEN + "x"), "TokenUnknown"),
                (authorized("x" * 10_000), "TokenUnknown"),
            ):
                response = await client.request(method, where, headers=headers)
                assert_problem(response, 401, reason)
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
            if method == "POST":
                body = (
                    {"environment": "production", "release": "r"} if "/lanes/" not in where else {"release": "r"}
                )
                response = await client.post(where, headers=authorized(VIEWING), json=body)
                assert_problem(response, 403, "RoleMissing")
    assert not parts.starter.started
    assert not parts.runs.updates


async def test_components_show_what_their_status_tells(tmp_path: Path) -> None:
    obj = component_object(
        observedGeneration=1,
        stage="production: at-gate",
        latestRelease={"name": "r-2", "image": "registry/x@sha256:1"},
        conditions=[{"type": "Ready", "status": "True"}],
        build={"workflow": BUILD, "commit": COMMIT, "phase": "succeeded"},
        environments=[
            {"name": "production", "waitingRelease": "r-2", "waitingReason": "Waits for 1 more."},
            {"name": "development", "release": "r-2", "health": "Healthy", "revision": 3},
            "odd",
        ],
    )
    async with serving(Parts(apiserver=FakeApiServer(obj)), tmp_path) as client:
        [view] = (await client.get("/api/v1/components", headers=authorized(VIEWING))).json()
        other = await client.get("/api/v1/components?namespace=other", headers=authorized())
    assert (view["name"], view["stage"], view["ready"], view["release"]) == (
        "hello-world",
        "production: at-gate",
        True,
        "r-2",
    )
    by_name = {each["name"]: each for each in view["environments"]}
    assert by_name["production"]["waiting_release"] == "r-2"
    assert by_name["development"]["revision"] == 3
    assert other.json() == []


async def test_a_component_says_where_its_change_waits_and_what_to_do(tmp_path: Path) -> None:
    parts = Parts()
    put_build(parts, release="r", image="registry/x")
    put_promotion(parts, release(1), StepState(environment="staging", phase="healthy"), AT_GATE)
    async with serving(parts, tmp_path) as client:
        detail = (await client.get(BASE, headers=authorized())).json()
    progress = detail["progress"]
    assert (progress["state"], progress["environment"]) == ("waiting", "production")
    assert progress["message"] == "production: waits for 1 more approval of 1"
    assert progress["next"] == "towpath approve default/hello-world -e production"


async def test_a_commit_not_built_yet_is_on_its_way(tmp_path: Path) -> None:
    parts = Parts()
    put_build(parts, phase="failed", reason="TestsFailed", message="npm test failed.")
    async with serving(parts, tmp_path) as client:
        failed = (await client.get(BASE, headers=authorized())).json()["progress"]
        other = (await client.get(f"{BASE}?commit=abcdef0", headers=authorized())).json()["progress"]
        bad = await client.get(f"{BASE}?commit=--x", headers=authorized())
    assert (failed["state"], failed["reason"]) == ("failed", "TestsFailed")
    assert (other["state"], other["reason"]) == ("moving", "CommitNotSeen")
    assert_problem(bad, 422, "Invalid")


async def test_an_unknown_component_is_not_found(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        response = await client.get("/api/v1/components/default/nothing", headers=authorized())
        assert_problem(response, 404, "ComponentNotFound")
        response = await client.get("/api/v1/components/default/-x", headers=authorized())
        assert_problem(response, 422, "Invalid")


async def test_the_same_trigger_twice_starts_one_delivery(tmp_path: Path) -> None:
    parts = Parts()
    headers = {**authorized(), "Idempotency-Key": "once"}
    async with serving(parts, tmp_path) as client:
        first = await client.post(f"{BASE}/trigger", headers=headers)
        second = await client.post(f"{BASE}/trigger", headers=headers)
        bad = await client.post(f"{BASE}/trigger", headers={**authorized(), "Idempotency-Key": "a b"})
    assert (first.status_code, first.json()["duplicate"]) == (202, False)
    assert second.json()["duplicate"]
    assert_problem(bad, 400, "BadIdempotencyKey")
    [(workflow, push)] = parts.starter.started.items()
    assert workflow == "trigger/default/hello-world/once"
    assert (push.cause, push.actor.name, push.components) == ("trigger", "Ada", (KEY,))


@pytest.mark.parametrize(
    ("body", "ref", "after"),
    [
        ({}, "refs/heads/main", ""),
        ({"branch": "release/1"}, "refs/heads/release/1", ""),
        ({"tag": "v1.2.3"}, "refs/tags/v1.2.3", ""),
        ({"commit": COMMIT}, "refs/heads/main", COMMIT),
        ({"branch": "next", "commit": COMMIT}, "refs/heads/next", COMMIT),
    ],
)
async def test_a_trigger_names_what_is_built(tmp_path: Path, body: dict[str, str], ref: str, after: str) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await client.post(f"{BASE}/trigger", headers=authorized(), json=body)
    assert response.status_code == 202, response.text
    [push] = parts.starter.started.values()
    assert (push.cause, push.ref, push.after, push.components) == ("trigger", ref, after, (KEY,))


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"branch": "a", "tag": "b"}, 400, "BadRef"),
        ({"branch": "../x"}, 400, "BadRef"),
        ({"tag": "-x"}, 400, "BadRef"),
        ({"commit": "abc"}, 422, "Invalid"),
    ],
)
async def test_a_trigger_of_what_cannot_be_starts_nothing(
    tmp_path: Path, body: dict[str, str], status: int, reason: str
) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        assert_problem(await client.post(f"{BASE}/trigger", headers=authorized(), json=body), status, reason)
    assert not parts.starter.started


async def test_a_key_that_has_asked_for_something_else_is_refused(tmp_path: Path) -> None:
    parts = Parts()
    headers = {**authorized(), "Idempotency-Key": "once"}
    async with serving(parts, tmp_path) as client:
        assert (await client.post(f"{BASE}/trigger", headers=headers, json={"tag": "v1"})).status_code == 202
        [(workflow, push)] = parts.starter.started.items()
        parts.runs.put(Run(workflow, "RUNNING", started_at=1), state=DeliveryState(push=push))
        again = await client.post(f"{BASE}/trigger", headers=headers, json={"tag": "v1"})
        other = await client.post(f"{BASE}/trigger", headers=headers, json={"tag": "v2"})
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    assert_problem(other, 409, "IdempotencyKeyReused")
    assert len(parts.starter.started) == 1


async def test_a_kept_log_is_read_piece_by_piece(tmp_path: Path) -> None:
    text = "Schritt 1: grün\nStep 2 done\n".encode()
    parts = Parts(logs=FakeLogs(ref=text))
    put_build(parts, log="ref")
    content, complete, offset = b"", "false", 0
    async with serving(parts, tmp_path) as client:
        while complete == "false":
            response = await client.get(f"{BASE}/builds/{COMMIT}/1/log?offset={offset}", headers=authorized())
            content += response.content
            offset = int(response.headers["Towpath-Log-Offset"])
            complete = response.headers["Towpath-Log-Complete"]
    assert content == text


async def test_a_running_builds_log_is_not_complete(tmp_path: Path) -> None:
    parts = Parts()
    put_build(parts, phase="running", log="not-there-yet")
    async with serving(parts, tmp_path) as client:
        response = await client.get(f"{BASE}/builds/{COMMIT}/1/log", headers=authorized())
    assert (response.content, response.headers["Towpath-Log-Complete"]) == (b"", "false")


async def test_cancelling_asks_a_running_build_to_stop(tmp_path: Path) -> None:
    parts = Parts()
    put_build(parts, phase="running", number=1)
    put_build(parts, phase="failed", number=2)
    async with serving(parts, tmp_path) as client:
        running = await client.post(f"{BASE}/builds/{COMMIT}/1/cancel", headers=authorized())
        ended = await client.post(f"{BASE}/builds/{COMMIT}/2/cancel", headers=authorized())
        absent = await client.post(f"{BASE}/builds/{COMMIT}/3/cancel", headers=authorized())
    assert running.status_code == 202
    assert parts.runs.cancelled == [BUILD]
    assert_problem(ended, 409, "BuildEnded")
    assert_problem(absent, 404, "BuildNotFound")


async def test_a_retry_starts_the_next_attempt_once(tmp_path: Path) -> None:
    parts = Parts()
    put_build(parts, phase="failed")
    headers = {**authorized(), "Idempotency-Key": "again"}
    async with serving(parts, tmp_path) as client:
        first = await client.post(f"{BASE}/builds/{COMMIT}/retry", headers=headers)
        same = await client.post(f"{BASE}/builds/{COMMIT}/retry", headers=headers)
        meanwhile = await client.post(f"{BASE}/builds/{COMMIT}/retry", headers=authorized())
        never = await client.post(f"{BASE}/builds/{'9' * 40}/retry", headers=authorized())
    assert first.json()["workflow"] == f"build/{KEY}/{COMMIT}/2"
    assert same.json()["duplicate"]
    assert_problem(meanwhile, 409, "BuildRunning")
    assert_problem(never, 404, "BuildNotFound")
    [request] = parts.runs.started.values()
    assert isinstance(request, BuildRequest)
    assert (request.number, request.sequence) == (2, 7)


async def decide(client: httpx.AsyncClient, verb: str = "approve", **body: str) -> httpx.Response:
    return await client.post(
        f"{BASE}/{verb}",
        headers={**authorized(), "Idempotency-Key": f"{verb}-1"},
        json={"environment": "production", **body},
    )


@pytest.mark.parametrize(("verb", "approve"), [("approve", True), ("reject", False)])
async def test_an_answer_goes_to_the_only_release_that_waits(tmp_path: Path, verb: str, approve: bool) -> None:
    parts = Parts()
    put_lane(parts, release(2))
    put_promotion(parts, release(2), AT_GATE)
    async with serving(parts, tmp_path) as client:
        response = await decide(client, verb, reason="looked at it")
    assert response.status_code == 200, response.text
    workflow, name, approval = parts.runs.updates[f"{verb}-1"]
    assert (workflow, name) == (f"promotion/{KEY}/{release(2).name}", "approve")
    assert isinstance(approval, Approval)
    assert (approval.digest, approval.approve, approval.actor.email) == (release(2).digest, approve, "ada@example")


async def test_an_answer_must_fit_what_waits(tmp_path: Path) -> None:
    parts = Parts()
    put_promotion(parts, release(2), AT_GATE)
    put_promotion(parts, release(3), AT_GATE)
    async with serving(parts, tmp_path) as client:
        assert_problem(await decide(client), 404, "LaneNotFound")
        put_lane(parts)
        assert_problem(await decide(client), 409, "NothingWaits")
        put_lane(parts, release(2), release(3))
        several = assert_problem(await decide(client), 409, "SeveralWait")
        assert release(2).name in several["detail"]
        assert_problem(await decide(client, release="other"), 409, "NotWaiting")
        assert_problem(await decide(client, digest=f"sha256:{9:064x}"), 409, "NotWaiting")
        assert_problem(await decide(client, digest="latest"), 409, "DigestMismatch")
        assert_problem(await decide(client, unknown="field"), 422, "Invalid")
        assert not parts.runs.updates
        assert (await decide(client, release=release(3).name)).status_code == 200


async def test_a_gates_refusal_is_a_conflict_with_its_reason(tmp_path: Path) -> None:
    parts = Parts()
    put_lane(parts, release(2))
    put_promotion(parts, release(2), AT_GATE)
    parts.runs.refusals["approve"] = Conflict("OwnCommit", "Ada wrote it; somebody else must approve it.")
    async with serving(parts, tmp_path) as client:
        document = assert_problem(await decide(client), 409, "OwnCommit")
    assert "somebody else" in document["detail"]


async def test_orders_reach_the_lane_under_their_id(tmp_path: Path) -> None:
    parts = Parts(releases=FakeReleases(release(1), release(2, commit="a" * 40)))
    put_lane(parts)
    parts.runs.answers["order"] = Answer(accepted=True, reason="Fine", message="Done.", revision=1)
    lane = f"{BASE}/lanes/production"
    async with serving(parts, tmp_path) as client:
        for kind, body in (
            ("rollback", {"revision": 1, "reason": "broken"}),
            ("hold", {"reason": "inventory"}),
            ("resume", {}),
            ("deploy", {"release": "a" * 8}),
        ):
            headers = {**authorized(), "Idempotency-Key": kind}
            response = await client.post(f"{lane}/{kind}", headers=headers, json=body)
            assert response.is_success, response.text
        unknown = await client.post(f"{lane}/deploy", headers=authorized(), json={"release": "none"})
        absent = await client.post(f"{BASE}/lanes/nowhere/hold", headers=authorized(), json={})
        negative = await client.post(f"{lane}/rollback", headers=authorized(), json={"revision": -1})
    orders = {name: update[2] for name, update in parts.runs.updates.items()}
    assert all(isinstance(order, Order) and order.kind == name for name, order in orders.items())
    rollback, deploy = orders["rollback"], orders["deploy"]
    assert isinstance(rollback, Order)
    assert isinstance(deploy, Order)
    assert (rollback.revision, rollback.reason, rollback.actor.name) == (1, "broken", "Ada")
    assert deploy.release == release(2, commit="a" * 40)
    assert_problem(unknown, 404, "ReleaseNotFound")
    assert_problem(absent, 404, "LaneNotFound")
    assert_problem(negative, 422, "Invalid")


async def test_an_order_that_the_lane_refuses_is_a_conflict(tmp_path: Path) -> None:
    parts = Parts()
    put_lane(parts)
    parts.runs.answers["order"] = Answer(accepted=False, reason="NothingToGoBackTo", message="No good one.")
    async with serving(parts, tmp_path) as client:
        response = await client.post(f"{BASE}/lanes/production/rollback", headers=authorized(), json={})
    assert_problem(response, 409, "NothingToGoBackTo")


async def test_promoting_sends_the_newest_release_on_its_way_once(tmp_path: Path) -> None:
    parts = Parts(releases=FakeReleases(release(1), release(2)))
    async with serving(parts, tmp_path) as client:
        first = await client.post(f"{BASE}/promotions", headers=authorized(), json={"until": "staging"})
        again = await client.post(f"{BASE}/promotions", headers=authorized(), json={})
    workflow = f"promotion/{KEY}/{release(2).name}"
    assert (first.status_code, first.json()["workflow"], first.json()["duplicate"]) == (202, workflow, False)
    assert again.json()["duplicate"]
    request = parts.runs.started[workflow]
    assert isinstance(request, PromotionRequest)
    assert (request.until, request.actor.name, request.actor.kind) == ("staging", "Ada", "person")


async def test_releases_and_lanes_are_listed(tmp_path: Path) -> None:
    parts = Parts(releases=FakeReleases(release(1), release(2)))
    put_lane(parts, release(2))
    async with serving(parts, tmp_path) as client:
        releases = (await client.get(f"{BASE}/releases", headers=authorized())).json()
        lane = (await client.get(f"{BASE}/lanes/production", headers=authorized())).json()
    assert [each["sequence"] for each in releases] == [2, 1]
    assert (lane["revision"], lane["current"]["name"]) == (1, release(1).name)
    assert [each["release"] for each in lane["at_gate"]] == [release(2).name]
    assert [each["number"] for each in lane["history"]] == [1]


async def test_temporal_away_is_503_and_says_when_to_come_back(tmp_path: Path) -> None:
    parts = Parts()
    put_lane(parts)
    parts.runs.down = True
    async with serving(parts, tmp_path) as client:
        for path in (BASE, f"{BASE}/builds", f"{BASE}/lanes/production"):
            response = await client.get(path, headers=authorized())
            assert_problem(response, 503, "TemporalUnavailable")
            assert "Retry-After" in response.headers


async def test_bodies_of_the_api_are_capped(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        body = json.dumps({"environment": "production", "reason": "x" * 100_000}).encode()
        assert_problem(
            await client.post(f"{BASE}/approve", headers=authorized(), content=body), 413, "BodyTooLarge"
        )
        long = await client.post(
            f"{BASE}/approve", headers=authorized(), json={"environment": "e", "reason": "x" * 501}
        )
        document = assert_problem(long, 422, "Invalid")
    assert document["errors"][0]["field"] == "body.reason"
    assert "xxx" not in json.dumps(document)


async def test_openapi_describes_the_api(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        document = (await client.get("/api/openapi.json")).json()
    assert "/api/v1/components/{namespace}/{name}/lanes/{environment}/rollback" in document["paths"]


async def test_our_own_mistakes_do_not_show_their_inside(tmp_path: Path) -> None:
    parts = Parts()
    parts.releases.release = None  # type: ignore[assignment,method-assign]
    parts.releases.releases = None  # type: ignore[assignment,method-assign]
    async with serving(parts, tmp_path) as client:
        client._transport.raise_app_exceptions = False  # type: ignore[attr-defined]
        response = await client.get(f"{BASE}/releases", headers=authorized())
    document = assert_problem(response, 500, "InternalError")
    assert "NoneType" not in json.dumps(document)


def test_tokens_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    path = tokens_file(tmp_path)
    tokens = Tokens(path)
    assert tokens.actor(f"Bearer {TOKEN}").name == "Ada"
    path.write_text("[]   ")
    with pytest.raises(Problem):
        tokens.actor(f"Bearer {TOKEN}")
    tokens_file(tmp_path)
    assert tokens.actor(f"bearer {TOKEN}").roles == ("developer",)
    path.write_text("{broken")
    assert tokens.actor(f"Bearer {TOKEN}").name == "Ada"


@pytest.mark.parametrize("content", ["", "{}", '[{"name": "a", "sha256": "plain-token-text"}]'])
def test_a_token_file_that_holds_something_else_is_refused_without_showing_it(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    with pytest.raises(UserFailure) as caught:
        Tokens(path)
    assert "plain-token-text" not in str(caught.value)


async def test_a_source_that_cannot_be_read_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    why = "http://git.example/x is no repository."
    obj = component_object(
        observedGeneration=1, message=why, conditions=[{"type": "Ready", "status": "False", "message": why}]
    )
    async with serving(Parts(apiserver=FakeApiServer(obj)), tmp_path) as client:
        progress = (await client.get(BASE, headers=authorized())).json()["progress"]
    assert (progress["state"], progress["message"]) == ("failed", why)
