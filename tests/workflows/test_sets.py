"""Release sets over a scripted world, in skipped time."""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.actor import Actor
from model.gate import Approval
from model.key import ComponentKey
from model.lane import Answer, LaneState, Order
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.promotion import PromotionRequest
from model.release import Release
from model.release_set import (
    ReleaseSetRequest,
    ReleaseSetState,
    SetOrder,
    SetRollbackRequest,
    SetRollbackState,
    Taken,
)
from tests.workflows.conftest import Serve
from tests.workflows.shop import Shop, member, one_step
from workflows.lane import Lane
from workflows.promotion import Promotion
from workflows.release_set import ReleaseSet
from workflows.set_rollback import SetRollback

ALICE = Actor(kind="person", name="alice", email="alice@example.test", roles=("release",))
BOB = Actor(kind="person", name="bob", email="bob@example.test", roles=("release",))
# web calls api and cart, both call db; mail stands alone.
CALLS: dict[str, tuple[str, ...]] = {
    "web": ("api", "cart"), "api": ("db",), "cart": ("db",), "db": (), "mail": (),
}  # fmt: skip
Handle = WorkflowHandle[ReleaseSet, ReleaseSetState]


def shop(**scripts: object) -> Shop:
    made = Shop(**scripts)  # type: ignore[arg-type]
    made.has(*CALLS)
    return made


def five(number: int) -> tuple[Release, ...]:
    """The n-th release of each component."""
    return tuple(member(name, number, *calls) for name, calls in CALLS.items())


def asked(releases: Sequence[Release], name: str = "spring", **more: object) -> ReleaseSetRequest:
    return ReleaseSetRequest.model_validate(
        {
            "name": name,
            "namespace": "default",
            "project": "shop",
            "releases": tuple(releases),
            "until": "production",
            "actor": ALICE,
        }
        | more
    )


async def start(environment: WorkflowEnvironment, request: ReleaseSetRequest) -> Handle:
    return await environment.client.start_workflow(
        ReleaseSet.run,
        request,
        id=ids.release_set(request.namespace, request.project, request.name),
        task_queue=ids.CONTROL_QUEUE,
    )


async def until(handle: Handle, component: str, *phases: str, environment: str = "production") -> ReleaseSetState:
    """Wait until a component of the set is in one of these phases."""
    while True:
        state = await handle.query(ReleaseSet.state)
        at = state.environments.get(environment)
        if at is not None and at.members[component].phase in phases:
            return state
        assert not state.outcome, f"it ended before: {state.outcome}: {state.message}"
        await asyncio.sleep(0.02)


async def at_gate(handle: Handle) -> None:
    """Wait until the set stands before production."""
    while True:
        state = await handle.query(ReleaseSet.state)
        at = state.environments.get("production")
        if at is not None and at.phase == "at-gate":
            return
        assert not state.outcome, f"it ended before: {state.outcome}: {state.message}"
        await asyncio.sleep(0.02)


async def lane(environment: WorkflowEnvironment, name: str) -> LaneState:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(ComponentKey(name=name), "production"))
    return await handle.query(Lane.state)


async def tell_lane(environment: WorkflowEnvironment, name: str, order: Order) -> Answer:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(ComponentKey(name=name), "production"))
    return await handle.execute_update(Lane.order, order, id=order.id)


def phases(state: ReleaseSetState, environment: str = "production") -> dict[str, str]:
    return {name: one.phase for name, one in state.environments[environment].members.items()}


def running(world: Shop) -> dict[str, str]:
    return {name: release for (_, name), release in world.runs.items()}


async def test_a_set_goes_in_by_its_dependencies_and_independent_ones_side_by_side(serve: Serve) -> None:
    world = shop()
    world.gates = {"db-1": asyncio.Event(), "mail-1": asyncio.Event()}
    async with serve(world) as environment:
        handle = await start(environment, asked(five(1)))
        await until(handle, "db", "deploying")
        await until(handle, "mail", "deploying")
        assert phases(await handle.query(ReleaseSet.state))["api"] == "pending"
        for gate in world.gates.values():
            gate.set()
        ended = await handle.result()
    assert (ended.outcome, set(phases(ended).values())) == ("Arrived", {"healthy"})
    place = {name: world.log.index(f"{name}-1") for name in CALLS}
    assert place["db"] < min(place["api"], place["cart"]) <= max(place["api"], place["cart"]) < place["web"]


async def test_the_order_that_a_person_tells_wins(serve: Serve) -> None:
    world = shop()
    order = ("web", "mail", "cart", "api", "db")
    async with serve(world) as environment:
        ended = await (await start(environment, asked(five(1), order=order))).result()
    assert ended.outcome == "Arrived"
    assert world.log == [f"{name}-1" for name in order]


async def test_components_that_call_each_other_in_a_circle_are_refused_by_name(serve: Serve) -> None:
    world = shop()
    circle = (member("api", 1, "cart"), member("cart", 1, "db"), member("db", 1, "api"))
    async with serve(world) as environment:
        ended = await (await start(environment, asked(circle))).result()
    assert ended.outcome == "SetCycle"
    assert all(name in ended.message for name in ("api", "cart", "db"))
    assert world.log == []


async def test_when_the_third_of_five_fails_all_that_was_changed_goes_back_in_reverse(serve: Serve) -> None:
    world = shop(crashing={"cart-2"})
    order = ("db", "api", "cart", "mail", "web")
    async with serve(world) as environment:
        assert (await (await start(environment, asked(five(1)))).result()).outcome == "Arrived"
        world.log.clear()
        ended = await (await start(environment, asked(five(2), "summer", order=order))).result()
        assert running(world) == {name: f"{name}-1" for name in CALLS}
        revisions = {name: [entry.result for entry in (await lane(environment, name)).history] for name in CALLS}
    assert ended.outcome == "RolledBack"
    assert "cart: CrashLoopBackOff" in ended.message
    assert world.log == ["db-2", "api-2", "cart-2", "cart-1", "api-1", "db-1"]
    assert phases(ended) == {
        "db": "restored", "api": "restored", "cart": "rolled-back", "mail": "skipped", "web": "skipped",
    }  # fmt: skip
    assert revisions["db"] == ["healthy", "healthy", "healthy"]
    assert revisions["mail"] == ["healthy"]
    told = {note.component.key.name for note in world.notes if note.reason == "SetTakingBack"}
    assert told == set(CALLS)


async def test_what_is_under_way_when_another_one_fails_goes_back_at_once(serve: Serve) -> None:
    world = shop(crashing={"api-2"})
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        world.gates = {"cart-2": asyncio.Event()}
        ended = await (await start(environment, asked(five(2), "summer"))).result()
        assert running(world) == {name: f"{name}-1" for name in CALLS}
    assert ended.outcome == "RolledBack"
    assert phases(ended)["cart"] == "restored"


async def test_a_release_that_already_runs_is_neither_deployed_nor_taken_back(serve: Serve) -> None:
    world = shop(crashing={"web-2"})
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        mixed = (member("db", 1), member("api", 2, "db"), member("web", 2, "api"))
        ended = await (await start(environment, asked(mixed, "summer"))).result()
        assert len((await lane(environment, "db")).history) == 1
    assert phases(ended) == {"db": "unchanged", "api": "restored", "web": "rolled-back"}


async def test_compensation_goes_on_where_a_worker_died(serve: Serve) -> None:
    world = shop(crashing={"web-2"})
    calls: dict[str, tuple[str, ...]] = {"db": (), "api": ("db",), "web": ("api",)}
    first, second = ([member(name, number, *calls[name]) for name in calls] for number in (1, 2))
    # The test server never gives a dead worker's sticky tasks to another one, so nobody keeps any.
    async with serve(world, max_cached_workflows=0) as environment:
        await (await start(environment, asked(first))).result()
        world.log.clear()
        world.gates = {"api-1": asyncio.Event()}
        handle = await start(environment, asked(second, "summer"))
        # In the middle of it: web is back, api is on its way, db has not begun.
        while "api-1" not in world.log:  # noqa: ASYNC110  (the scripted world has no event for it)
            await asyncio.sleep(0.02)
        assert world.log == ["db-2", "api-2", "web-2", "web-1", "api-1"]
    world.gates["api-1"].set()
    async with serve(world, max_cached_workflows=0):
        ended = await handle.result()
    assert ended.outcome == "RolledBack"
    assert running(world) == {name: f"{name}-1" for name in calls}
    assert world.log[-1] == "db-1"


async def test_a_compensation_that_fails_is_said_and_holds_its_lane_while_the_rest_goes_back(serve: Serve) -> None:
    world = shop(crashing={"web-2"})
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        world.crashing.add("api-1")
        ended = await (await start(environment, asked(five(2), "summer"))).result()
        state = await lane(environment, "api")
        assert state.hold is not None
        assert running(world)["db"] == "db-1"
    assert ended.outcome == "NotTakenBack"
    assert "api: CrashLoopBackOff" in ended.message
    assert phases(ended) == {
        "web": "rolled-back", "api": "restore-failed", "cart": "restored", "db": "restored", "mail": "restored",
    }  # fmt: skip


async def test_a_person_cancels_a_set_and_what_it_changed_goes_back(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        world.gates = {"api-2": asyncio.Event()}
        handle = await start(environment, asked(five(2), "summer"))
        await until(handle, "cart", "healthy")
        order = SetOrder(id="stop", actor=BOB, reason="wrong day")
        assert (await handle.execute_update(ReleaseSet.order, order, id=order.id)).reason == "Cancelling"
        ended = await handle.result()
        assert running(world) == {name: f"{name}-1" for name in CALLS}
    assert (ended.outcome, ended.message) == ("Cancelled", "Cancelled by bob: wrong day.")
    assert phases(ended)["web"] == "skipped"


async def test_a_set_that_is_cancelled_in_temporal_goes_back_first(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        world.gates = {"api-2": asyncio.Event()}
        handle = await start(environment, asked(five(2), "summer"))
        await until(handle, "cart", "healthy")
        await handle.cancel()
        ended = await handle.result()
        assert running(world) == {name: f"{name}-1" for name in CALLS}
    assert ended.outcome == "Cancelled"


async def test_a_release_that_came_in_between_is_not_undone(serve: Serve) -> None:
    world = shop(crashing={"web-2"})
    newer = member("mail", 3)
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        world.gates = {"web-2": asyncio.Event()}
        handle = await start(environment, asked(five(2), "summer"))
        await until(handle, "web", "deploying")
        await until(handle, "mail", "healthy")
        promotion = await environment.client.execute_workflow(
            Promotion.run,
            PromotionRequest(release=newer),
            id=ids.promotion(newer.component, newer.name),
            task_queue=ids.CONTROL_QUEUE,
        )
        assert promotion.steps["production"].phase == "healthy"
        world.gates["web-2"].set()
        ended = await handle.result()
    assert ended.outcome == "RolledBack"
    assert phases(ended)["mail"] == "left"
    assert running(world) == {**{name: f"{name}-1" for name in CALLS}, "mail": "mail-3"}


async def test_one_approval_lets_the_whole_set_in_and_none_is_for_other_digests(serve: Serve) -> None:
    world = shop(pipeline=one_step(approvals=1))
    request = asked(five(1))
    async with serve(world) as environment:
        handle = await start(environment, request)
        await at_gate(handle)
        wrong = Approval(id="a", environment="production", digest=five(1)[0].digest, actor=BOB)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(ReleaseSet.approve, wrong, id=wrong.id)
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "DigestMismatch"
        assert world.log == []
        right = wrong.model_copy(update={"id": "b", "digest": request.digest})
        await handle.execute_update(ReleaseSet.approve, right, id=right.id)
        ended = await handle.result()
    assert ended.outcome == "Arrived"


async def test_components_under_different_rules_all_have_to_be_let_in(serve: Serve) -> None:
    world = shop()
    strict = StepPolicy(approvals=2)
    world.pipelines["db"] = Pipeline(
        name="default", steps=(EnvironmentStep(environment="production", policy=strict),)
    )
    world.pipelines["web"] = one_step(approvals=1)
    request = asked(five(1))
    async with serve(world) as environment:
        handle = await start(environment, request)
        for who in (ALICE, BOB):
            assert world.log == []
            await at_gate(handle)
            approval = Approval(id=who.name, environment="production", digest=request.digest, actor=who)
            await handle.execute_update(ReleaseSet.approve, approval, id=approval.id)
        assert (await handle.result()).outcome == "Arrived"


async def test_a_rejected_set_changes_nothing(serve: Serve) -> None:
    world = shop(pipeline=one_step(approvals=1))
    request = asked(five(1))
    async with serve(world) as environment:
        handle = await start(environment, request)
        no = Approval(
            id="no", environment="production", digest=request.digest, actor=BOB, approve=False, reason="no time"
        )
        await at_gate(handle)
        await handle.execute_update(ReleaseSet.approve, no, id=no.id)
        ended = await handle.result()
    assert (ended.outcome, world.log) == ("Rejected", [])


async def test_a_finished_set_is_rolled_back_by_a_person(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        done = await (await start(environment, asked(five(2), "summer"))).result()
        world.log.clear()
        request = SetRollbackRequest(
            id="back",
            set=ids.release_set("default", "shop", "summer"),
            name="summer",
            namespace="default",
            project="shop",
            environment="production",
            taken=taken_back(done),
            after=done.after,
            actor=BOB,
            reason="carts are empty",
        )
        state: SetRollbackState = await environment.client.execute_workflow(
            SetRollback.run, request, id="back", task_queue=ids.CONTROL_QUEUE
        )
        assert running(world) == {name: f"{name}-1" for name in CALLS}
    assert state.outcome == "RolledBack"
    assert world.log.index("web-1") < min(world.log.index("api-1"), world.log.index("cart-1"))
    assert max(world.log.index("api-1"), world.log.index("cart-1")) < world.log.index("db-1")


async def test_a_held_lane_holds_its_set_up_until_a_person_resumes_it(serve: Serve) -> None:
    world = shop()
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        await tell_lane(environment, "db", Order(id="hold", kind="hold", actor=BOB, reason="inventory"))
        handle = await start(environment, asked(five(2), "summer"))
        await until(handle, "db", "held")
        await tell_lane(environment, "db", Order(id="go", kind="resume", actor=BOB))
        assert (await handle.result()).outcome == "Arrived"


async def test_a_set_with_a_member_of_which_nobody_can_tell_waits_and_can_be_cancelled(serve: Serve) -> None:
    world = shop(unclear={"api-2"})
    async with serve(world) as environment:
        await (await start(environment, asked(five(1)))).result()
        handle = await start(environment, asked(five(2), "summer"))
        await until(handle, "api", "inconclusive")
        await until(handle, "mail", "healthy")
        order = SetOrder(id="stop", actor=BOB, reason="unclear")
        await handle.execute_update(ReleaseSet.order, order, id=order.id)
        ended = await handle.result()
        assert (await lane(environment, "api")).hold is None
        assert running(world) == {name: f"{name}-1" for name in CALLS}
    assert (ended.outcome, phases(ended)["api"]) == ("Cancelled", "restored")


async def test_a_person_accepts_a_member_of_which_nobody_can_tell_and_the_set_goes_on(serve: Serve) -> None:
    world = shop(unclear={"db-1"})
    async with serve(world) as environment:
        handle = await start(environment, asked(five(1)))
        await until(handle, "db", "inconclusive")
        await tell_lane(environment, "db", Order(id="fine", kind="accept", actor=BOB, reason="looked at it"))
        assert (await handle.result()).outcome == "Arrived"


def taken_back(state: ReleaseSetState) -> tuple[Taken, ...]:
    return tuple(
        Taken(
            component=state.components[name],
            step=state.pipelines[name].step("production"),
            release=next(each for each in state.request.releases if each.component.name == name),
            request=one.request,
        )
        for name, one in state.environments["production"].members.items()
    )
