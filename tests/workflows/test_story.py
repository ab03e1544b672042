"""The story over a scripted world, in skipped time."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.actor import Actor
from model.build import BuildResult, Rivals
from model.delivery import DeliveryState
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.gate import Approval
from model.lane import Answer, LaneState, Order
from model.promotion import PromotionRequest, PromotionState
from model.source import SourceLocation
from model.teardown import OpenRuns, TeardownRequest
from tests.workflows.conftest import Serve
from tests.workflows.world import COMPONENT, CRASHING, KEY, World, commit, pipeline, push, release
from workflows.delivery import Delivery
from workflows.lane import Lane
from workflows.promotion import Promotion
from workflows.teardown import Teardown

ALICE = Actor(kind="person", name="alice", email="alice@example.test", roles=("release",))
BOB = Actor(kind="person", name="bob", email="bob@example.test", roles=("release",))
AUTHOR = Actor(kind="person", name="dev", email="DEV@example.test", roles=("release",))


async def deliver(environment: WorkflowEnvironment, number: int) -> DeliveryState:
    announced = push(number)
    return await environment.client.execute_workflow(
        Delivery.run,
        announced,
        id=ids.push(announced.repository, announced.ref, announced.after),
        task_queue=ids.CONTROL_QUEUE,
    )


async def promote(environment: WorkflowEnvironment, number: int) -> WorkflowHandle[Promotion, PromotionState]:
    return await environment.client.start_workflow(
        Promotion.run,
        PromotionRequest(release=release(number)),
        id=ids.promotion(KEY, release(number).name),
        task_queue=ids.CONTROL_QUEUE,
    )


async def phase(
    environment: WorkflowEnvironment, handle: WorkflowHandle[Promotion, PromotionState], name: str, *wanted: str
) -> PromotionState:
    """Wait until an environment of a promotion is in one of the phases."""
    while True:
        state = await handle.query(Promotion.state)
        if name in state.steps and state.steps[name].phase in wanted:
            return state
        await asyncio.sleep(0.1)


def approval(number: int, who: Actor = ALICE, **changed: object) -> Approval:
    return Approval.model_validate(
        {"id": f"{who.name}-{number}", "environment": "production", "digest": release(number).digest, "actor": who}
        | changed
    )


async def approve(handle: WorkflowHandle[Promotion, PromotionState], given: Approval) -> Answer:
    return await handle.execute_update(Promotion.approve, given, id=given.id)


async def lane_state(environment: WorkflowEnvironment, name: str) -> LaneState:
    return await environment.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, name)).query(Lane.state)


async def order(environment: WorkflowEnvironment, name: str, given: Order) -> Answer:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, name))
    return await handle.execute_update(Lane.order, given, id=given.id)


async def settle(environment: WorkflowEnvironment, name: str, revision: int) -> LaneState:
    """Wait until a lane has closed a revision."""
    while True:
        state = await lane_state(environment, name)
        if not state.deploying and any(entry.number == revision and entry.finished_at for entry in state.history):
            return state
        await asyncio.sleep(0.1)


async def test_a_push_reaches_production_after_one_approval(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        delivered = await deliver(environment, 1)
        assert [built.phase for built in delivered.builds] == ["succeeded"]
        [made] = world.releases
        handle = environment.client.get_workflow_handle_for(Promotion.run, ids.promotion(KEY, made.name))
        waiting = await phase(environment, handle, "production", "at-gate")
        assert waiting.steps["staging"].phase == "healthy"
        assert "production" not in world.running
        given = Approval(id="1", environment="production", digest=made.digest, actor=ALICE)
        assert (await approve(handle, given)).accepted
        ended = await handle.result()
        assert [step.phase for step in ended.steps.values()] == ["healthy"] * 3
        assert world.running["production"].digest == made.digest


async def test_a_crash_looping_release_goes_back_and_later_environments_never_notice(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), verdicts={("development", 2): CRASHING})
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        ended = await (await promote(environment, 2)).result()
        assert ended.steps["development"].phase == "rolled-back"
        assert ended.steps["development"].reason == "CrashLoopBackOff"
        assert {ended.steps[name].phase for name in ("staging", "production")} == {"skipped"}
        assert world.running["development"].name == "hello-1"
        assert [name for place, name in world.applied if place == "staging"] == ["hello-1"]
        assert (await lane_state(environment, "development")).hold is None


async def test_a_rollback_that_fails_stops_the_lane_and_says_so(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        world.verdicts = {("development", 1): CRASHING, ("development", 2): CRASHING}
        ended = await (await promote(environment, 2)).result()
        assert ended.steps["development"].phase == "failed"
        lane = await lane_state(environment, "development")
        assert lane.hold is not None
        assert "CrashLoopBackOff" in lane.hold.reason
        assert any(note.reason == "RollbackFailed" and note.type == "Warning" for note in world.notes)


async def test_automation_never_undoes_a_persons_rollback(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        await (await promote(environment, 2)).result()
        back = Order(id="back", kind="rollback", actor=ALICE, revision=1)
        answer = await order(environment, "production", back)
        assert answer.reason == "RollingBack"
        lane = await settle(environment, "production", 3)
        assert world.running["production"].name == "hello-1"
        assert lane.history[-1].kind == "rollback"
        assert lane.history[-1].restored == 1

        third = await promote(environment, 3)
        held = await phase(environment, third, "production", "held")
        assert "alice" in held.steps["production"].message
        assert world.running["production"].name == "hello-1"

        await order(environment, "production", Order(id="go", kind="resume", actor=ALICE))
        assert (await third.result()).steps["production"].phase == "healthy"


async def test_an_update_sent_twice_is_one_effect(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        await phase(environment, handle, "production", "at-gate")
        for attempt in range(3):
            given = approval(1, id="same")
            answer = await handle.execute_update(Promotion.approve, given, id=f"update-{attempt}")
            assert answer.accepted
        state = await handle.query(Promotion.state)
        gate = state.steps["production"].gate
        assert len(state.approvals) == 1
        assert gate is not None
        assert "production" not in world.running
        await approve(handle, approval(1, BOB))
        await handle.result()
        assert [place for place, _ in world.applied].count("production") == 1


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (approval(1, digest="sha256:" + "0" * 64), "DigestMismatch"),
        (approval(1, AUTHOR), "OwnCommit"),
        (approval(1, ALICE.model_copy(update={"roles": ()})), "RoleMissing"),
        (approval(1, environment="staging"), "NotAtGate"),
        (approval(1, environment="nowhere"), "NotAtGate"),
    ],
)
async def test_an_approval_that_may_not_count_is_refused_at_once(
    serve: Serve, given: Approval, reason: str
) -> None:
    world = World(pipeline=pipeline(approver_roles=("release",)))
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        await phase(environment, handle, "production", "at-gate")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await approve(handle, given)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == reason
        assert (await handle.query(Promotion.state)).approvals == []


async def test_an_approval_lapses_and_must_be_given_again(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2, approval_lasts_seconds=3600))
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        await phase(environment, handle, "production", "at-gate")
        await approve(handle, approval(1))
        await environment.sleep(timedelta(hours=2))
        await approve(handle, approval(1, BOB))
        state = await phase(environment, handle, "production", "at-gate")
        gate = state.steps["production"].gate
        assert gate is not None
        assert gate.given == 1, "alice's approval of two hours ago no longer counts"
        await approve(handle, approval(1, id="again"))
        assert (await handle.result()).steps["production"].phase == "healthy"


async def test_a_gate_that_nobody_opens_closes_after_its_time(serve: Serve) -> None:
    world = World(pipeline=pipeline(gate_lasts_seconds=48 * 3600))
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        ended = await handle.result()
        assert ended.steps["production"].phase == "expired"
        assert (await lane_state(environment, "production")).candidates == []
        assert "production" not in world.running


async def test_a_rejection_ends_the_walk_with_its_reason(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        await phase(environment, handle, "production", "at-gate")
        await approve(handle, approval(1, approve=False, reason="not on a Friday"))
        ended = await handle.result()
        assert ended.steps["production"].phase == "rejected"
        assert "not on a Friday" in ended.steps["production"].message


async def test_a_newer_release_at_the_gate_voids_the_older_one(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        first = await promote(environment, 1)
        await phase(environment, first, "production", "at-gate")
        second = await promote(environment, 2)
        await phase(environment, second, "production", "at-gate")
        assert (await first.result()).steps["production"].phase == "superseded"
        with pytest.raises(WorkflowUpdateFailedError):
            await approve(second, approval(1, id="for-the-old-digest"))
        await approve(second, approval(2))
        await second.result()
        assert world.running["production"].name == "hello-2"


async def test_of_releases_that_wait_only_the_newest_is_deployed(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), apply_gate=asyncio.Event())
    async with serve(world) as environment:
        handles = [await promote(environment, 1)]
        await phase(environment, handles[0], "development", "deploying")
        handles += [await promote(environment, number) for number in (2, 3, 4)]
        while len((await lane_state(environment, "development")).recent) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert world.apply_gate is not None
        world.apply_gate.set()
        ended = [await handle.result() for handle in handles]
        assert [state.steps["development"].phase for state in ended] == [
            "healthy", "superseded", "superseded", "healthy",
        ]  # fmt: skip
        assert [name for place, name in world.applied if place == "development"] == ["hello-1", "hello-4"]
        assert world.most_at_once == 1


async def test_a_persons_rollback_goes_before_a_rollout_under_way(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        world.apply_gate = asyncio.Event()
        second = await promote(environment, 2)
        await phase(environment, second, "development", "deploying")
        while not (await lane_state(environment, "development")).deploying:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await order(environment, "development", Order(id="back", kind="rollback", actor=ALICE, revision=1))
        world.apply_gate.set()
        await settle(environment, "development", 3)
        assert world.running["development"].name == "hello-1"
        assert (await second.result()).steps["development"].phase == "superseded"


async def test_an_infrastructure_failure_is_tried_again_and_a_users_is_not(serve: Serve) -> None:
    world = World()
    lost = BuildResult(phase="failed", reason="Evicted", message="node is gone", failure="infrastructure")
    wrong = BuildResult(phase="failed", reason="BuildFailed", message="npm ci failed", failure="user")
    world.builds[1] = [lost, lost]
    world.builds[2] = [wrong]
    async with serve(world) as environment:
        first = await deliver(environment, 1)
        second = await deliver(environment, 2)
        assert [built.phase for built in (*first.builds, *second.builds)] == ["succeeded", "failed"]
        assert world.submitted == ["argo-1-1-1", "argo-1-1-2", "argo-1-1-3", "argo-2-1-1"]


async def test_a_newer_push_cancels_the_older_build(serve: Serve) -> None:
    world = World()
    world.build_gates[1] = asyncio.Event()
    world.rivals[2] = Rivals(older=(ids.build(KEY, commit(1).id, 1),))
    async with serve(world) as environment:
        older = asyncio.create_task(deliver(environment, 1))
        while not world.submitted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        newer = await deliver(environment, 2)
        assert [built.phase for built in (await older).builds] == ["superseded"]
        assert [built.phase for built in newer.builds] == ["succeeded"]
        assert world.stopped == ["argo-1-1-1"]
        assert [made.commit.id for made in world.releases] == [commit(2).id]


async def test_a_second_announcement_of_a_commit_builds_nothing(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deliver(environment, 1)
        again = push(1, forced=True)
        state = await environment.client.execute_workflow(
            Delivery.run,
            again,
            id=ids.push(again.repository, again.ref, again.after, forced_from="f" * 40),
            task_queue=ids.CONTROL_QUEUE,
        )
        assert (state.outcome, state.builds) == ("AlreadyHandled", [])
        assert len(world.submitted) == 1


async def test_a_push_that_arrives_late_builds_the_present_head_and_only_once(serve: Serve) -> None:
    world = World(head=3)
    async with serve(world) as environment:
        late = await deliver(environment, 2)
        newest = await deliver(environment, 3)
        assert [built.phase for built in late.builds] == ["succeeded"]
        assert newest.outcome == "AlreadyHandled"
        assert [made.commit.id for made in world.releases] == [commit(3).id]


async def test_a_push_outside_a_components_folder_builds_nothing(serve: Serve) -> None:
    source = SourceLocation(url="http://git.test/hello.git", app_path="services/api")
    component = COMPONENT.model_copy(update={"source": source})
    world = World(components=[component], paths=("README.md", "services/api-gateway/main.py"))
    async with serve(world) as environment:
        assert (await deliver(environment, 1)).outcome == "NothingTouched"
        assert world.submitted == []


async def test_a_deleted_component_leaves_nothing_behind(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        handle = await promote(environment, 1)
        await phase(environment, handle, "production", "at-gate")
        lanes = tuple(ids.lane(KEY, name) for name in ("development", "staging", "production"))
        world.components = []
        world.open = [OpenRuns(promotions=(handle.id,), lanes=lanes), OpenRuns(lanes=lanes)]
        done = await environment.client.execute_workflow(
            Teardown.run,
            TeardownRequest(component=COMPONENT),
            id=ids.teardown(KEY, "u1"),
            task_queue=ids.CONTROL_QUEUE,
        )
        assert done.stopped == [handle.id]
        for lane in lanes:
            await environment.client.get_workflow_handle(lane).result()
        assert world.running == {}


async def test_a_component_that_is_declared_again_is_left_alone(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await (await promote(environment, 1)).query(Promotion.state)
        done = await environment.client.execute_workflow(
            Teardown.run,
            TeardownRequest(component=COMPONENT),
            id=ids.teardown(KEY, "u0"),
            task_queue=ids.CONTROL_QUEUE,
        )
        assert done.back
        assert done.removed == []


async def test_a_push_of_a_branch_that_is_gone_is_told_to_its_component(serve: Serve) -> None:
    world = World(changes_failures=[NotFound("RefNotFound", "refs/heads/main is not there (any more).")])
    async with serve(world) as environment:
        delivered = await deliver(environment, 1)
        assert delivered.outcome == "RefNotFound"
        assert [(note.type, note.reason) for note in world.notes] == [("Warning", "RefNotFound")]


async def test_a_git_host_that_is_away_holds_a_push_up_and_loses_nothing(serve: Serve) -> None:
    away = InfrastructureFailure("GitUnreachable", "connection refused")
    world = World(pipeline=pipeline(approvals=0), changes_failures=[away, away, away])
    async with serve(world) as environment:
        delivered = await deliver(environment, 1)
        assert [built.phase for built in delivered.builds] == ["succeeded"]
        assert world.changes_failures == []


async def test_a_manifest_that_cannot_be_used_is_told_on_its_component(serve: Serve) -> None:
    world = World()
    world.components_failures = [UserFailure("InvalidManifest", "spec.componentType: must be a text")]
    applied = push(1, cause="applied", components=(KEY,), declared_in="openchoreo.dev/v1alpha1")
    async with serve(world) as environment:
        state = await environment.client.execute_workflow(
            Delivery.run, applied, id=ids.applied(KEY, "u1", 1), task_queue=ids.CONTROL_QUEUE
        )
    assert state.outcome == "InvalidManifest"
    [note] = world.notes
    assert (note.type, note.component.key) == ("Warning", KEY)
    assert "spec.componentType" in note.message
    assert note.of_manifest, "whoever reads all components complains of it as well; people hear it once"
