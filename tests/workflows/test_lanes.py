"""Lanes over a scripted world: ways back, marks, pins, alarms, what nobody can tell, and one at a time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.lanes import Lanes
from model import ids
from model.lane import RULES, LaneRequest, LaneState, Order, Revision
from model.mark import Mark
from model.pipeline import EnvironmentStep
from model.promotion import PromotionRequest, PromotionState
from model.verdict import Verdict
from model.vigil import Alarm
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, BOB, approval, approve, lane_state, order, phase, settle
from tests.workflows.world import COMPONENT, CRASHING, KEY, World, pipeline, release
from workflows.lane import Lane
from workflows.promotion import Promotion

PLACE = "development"
STEP = EnvironmentStep(environment=PLACE)
UNCLEAR = Verdict(health="inconclusive", reason="NoData", message="Prometheus did not answer.")
TURNED = Verdict(health="unhealthy", reason="ErrorRate", message="5 % of requests fail.")


async def ask(environment: WorkflowEnvironment, number: int, **fields: object) -> LaneRequest:
    """What a promotion would ask of the lane of development, without one."""
    request = LaneRequest.model_validate(
        {"id": f"r{number}", "kind": "deploy", "component": COMPONENT, "step": STEP, "release": release(number)}
        | fields
    )
    await Lanes(environment.client).request(request)
    return request


async def deployed(environment: WorkflowEnvironment, *numbers: int) -> LaneState:
    """Releases that ran one after the other, each its own revision."""
    for number in numbers:
        await ask(environment, number)
        await until(environment, partial(_runs, name=release(number).name))
    return await until(environment, lambda _: True)


async def until(
    environment: WorkflowEnvironment, seen: Callable[[LaneState], bool], name: str = PLACE
) -> LaneState:
    lane = environment.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, name))
    while True:
        # What is asked in the moment in which a run gives over to the next, this server never answers.
        with suppress(RPCError):
            state = await lane.query(Lane.state, rpc_timeout=timedelta(seconds=3))
            if seen(state):
                return state
        await asyncio.sleep(0.02)


async def say(environment: WorkflowEnvironment, kind: str, name: str = PLACE, **fields: object) -> str:
    """A person's order; the reason of the answer, also of a refusal."""
    given = Order.model_validate({"id": f"{kind}-{random.random()}", "kind": kind, "actor": ALICE} | fields)
    try:
        return (await order(environment, name, given)).reason
    except WorkflowUpdateFailedError as error:
        return (error.cause.type or "") if isinstance(error.cause, ApplicationError) else str(error.cause)


async def walk(
    environment: WorkflowEnvironment, number: int, **fields: object
) -> WorkflowHandle[Promotion, PromotionState]:
    request = PromotionRequest.model_validate({"release": release(number)} | fields)
    return await environment.client.start_workflow(
        Promotion.run, request, id=ids.promotion(KEY, release(number).name), task_queue=ids.CONTROL_QUEUE
    )


def _runs(lane: LaneState, name: str) -> bool:
    return not lane.deploying and lane.current is not None and lane.current.name == name


def told(lane: LaneState) -> list[tuple[str, str, str]]:
    return [(entry.release.name, entry.kind, entry.result) for entry in lane.history]


async def test_going_back_twice_goes_further_back_and_undo_takes_the_last_change_back(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1, 2, 3)
        assert await say(environment, "rollback") == "RollingBack"
        await settle(environment, PLACE, 4)
        assert world.running[PLACE].name == "hello-2"
        assert await say(environment, "rollback") == "RollingBack"
        lane = await settle(environment, PLACE, 5)
        assert world.running[PLACE].name == "hello-1", "not forward to what was left"
        assert lane.history[-1].restored == 1
        assert await say(environment, "undo") == "RollingBack"
        lane = await settle(environment, PLACE, 6)
        assert world.running[PLACE].name == "hello-2", "the last change was from 2 to 1"
        assert lane.hold is not None
        assert lane.hold.actor.name == "alice"


async def test_undo_refuses_what_the_lane_has_taken_back_by_itself(serve: Serve) -> None:
    world = World(verdicts={(PLACE, 3): CRASHING})
    async with serve(world) as environment:
        await deployed(environment, 1, 2)
        await ask(environment, 3)
        await settle(environment, PLACE, 3)
        assert await say(environment, "undo") == "AlreadyTakenBack"
        assert world.running[PLACE].name == "hello-2"


async def test_an_older_release_needs_a_word(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await deployed(environment, 1, 2)
        assert await say(environment, "deploy", release=release(1)) == "OlderThanLastGood"
        refused = await walk(environment, 1, actor=ALICE, until=PLACE)
        step = (await refused.result()).steps[PLACE]
        assert (step.phase, step.reason) == ("rejected", "OlderThanLastGood")
        assert "--allow-older" in step.message
        meant = await walk(environment, 1, actor=ALICE, until=PLACE, allow_older=True)
        assert (await meant.result()).steps[PLACE].phase == "healthy"
        assert world.running[PLACE].name == "hello-1"
        assert await say(environment, "deploy", release=release(2)) == "Deploying"


async def test_what_nobody_can_tell_is_left_running_until_a_person_accepts_it(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), verified={(PLACE, 2): UNCLEAR})
    async with serve(world) as environment:
        await deployed(environment, 1)
        second = await walk(environment, 2)
        waiting = await phase(environment, second, PLACE, "held")
        assert "Prometheus" in waiting.steps[PLACE].message
        lane = await lane_state(environment, PLACE)
        assert lane.last_good == release(1), "no data is never a pass"
        assert world.running[PLACE].name == "hello-2", "nor is it a failure"
        assert lane.hold is not None
        assert lane.hold.revision == 2
        await ask(environment, 3)
        assert (await lane_state(environment, PLACE)).deploying == 0
        assert await say(environment, "accept", reason="the pages are fine") == "Accepted"
        ended = await second.result()
        assert [step.phase for step in ended.steps.values()] == ["healthy"] * 3, "its promotion goes on"
        lane = await until(environment, lambda lane: _runs(lane, "hello-3"))
        assert lane.history[1].accepted_by == "alice"
        assert await say(environment, "accept") == "NothingToAccept"


async def test_going_back_from_what_nobody_can_tell_ends_its_promotion(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), verified={(PLACE, 2): UNCLEAR})
    async with serve(world) as environment:
        await deployed(environment, 1)
        second = await walk(environment, 2)
        await phase(environment, second, PLACE, "held")
        assert await say(environment, "rollback") == "RollingBack"
        ended = await second.result()
        assert ended.steps[PLACE].phase == "rolled-back"
        assert world.running[PLACE].name == "hello-1"


async def alarm(environment: WorkflowEnvironment, revision: int, identity: str = "a1") -> None:
    handle = environment.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, PLACE))
    await handle.signal(Lane.alarm, Alarm(id=identity, revision=revision, verdict=TURNED))


async def test_an_alarm_goes_back_and_lets_only_newer_releases_in(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1, 2)
        for _ in range(3):
            await alarm(environment, 2)
        lane = await settle(environment, PLACE, 3)
        assert told(lane) == [
            ("hello-1", "deploy", "healthy"),
            ("hello-2", "deploy", "unhealthy"),
            ("hello-1", "rollback", "healthy"),
        ]
        assert lane.history[1].verdict == TURNED
        assert lane.hold is None, "automation goes on"
        await ask(environment, 2, id="again")
        lane = await deployed(environment, 3)
        assert [name for _, name in world.applied] == ["hello-1", "hello-2", "hello-1", "hello-3"]
        await alarm(environment, 2, "late")
        assert (await lane_state(environment, PLACE)).alarms == [], "what runs no longer is left alone"


async def test_an_alarm_with_nothing_to_go_back_to_holds_the_lane(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1)
        await alarm(environment, 1)
        lane = await until(environment, lambda lane: lane.hold is not None)
        assert lane.last_good is None
        assert lane.hold is not None
        assert "ErrorRate" in lane.hold.reason
        assert world.running[PLACE].name == "hello-1"
        # It is told after it is decided.
        while not any(note.reason == "Held" and note.type == "Warning" for note in world.notes):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_held_lane_hears_an_alarm_and_goes_back_when_it_is_let_go_on(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1, 2)
        await say(environment, "hold", reason="inventory")
        await alarm(environment, 2)
        await until(environment, lambda lane: bool(lane.alarms))
        assert world.running[PLACE].name == "hello-2"
        await say(environment, "resume")
        await until(environment, lambda lane: _runs(lane, "hello-1"))


async def test_a_release_that_is_marked_bad_waits_no_longer_and_is_brought_in_by_nobody(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await (await walk(environment, 1, until="staging")).result()
        second = await walk(environment, 2)
        await phase(environment, second, "production", "at-gate")
        said = await say(environment, "mark-bad", "production", release=release(2), reason="loses invoices")
        assert said == "MarkedBad"
        step = (await second.result()).steps["production"]
        assert (step.phase, step.reason) == ("rejected", "ReleaseMarkedBad")
        assert "loses invoices" in step.message
        again = await walk(environment, 2)
        assert (await again.result()).steps["production"].reason == "ReleaseMarkedBad"
        await say(environment, "mark-good", "production", release=release(2))
        third = await walk(environment, 2)
        await phase(environment, third, "production", "at-gate")


async def test_a_lane_that_was_told_nothing_asks_before_it_begins(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), marks={"hello-2": Mark(word="bad", reason="leaks", by="bob")})
    async with serve(world) as environment:
        await deployed(environment, 1)
        ended = await (await walk(environment, 2)).result()
        assert (ended.steps[PLACE].phase, ended.steps[PLACE].reason) == ("rejected", "ReleaseMarkedBad")
        assert [name for _, name in world.applied] == ["hello-1"]
        await say(environment, "deploy", release=release(2))
        assert (await lane_state(environment, PLACE)).deploying == 0


async def test_ways_back_pass_over_what_is_marked_bad(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1, 2, 3)
        await say(environment, "mark-bad", release=release(2))
        assert await say(environment, "rollback", revision=2) == "ReleaseMarkedBad"
        world.verdicts[(PLACE, 4)] = CRASHING
        await ask(environment, 4)
        lane = await settle(environment, PLACE, 4)
        assert _runs(lane, "hello-3"), "what failed was taken back"
        await say(environment, "rollback")
        await until(environment, lambda lane: _runs(lane, "hello-1"))


async def test_a_pinned_release_is_deployed_in_its_turn(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        await deployed(environment, 1)
        await say(environment, "hold")
        await ask(environment, 2)
        assert await say(environment, "pin", release=release(2)) == "Pinned"
        await ask(environment, 3)
        await ask(environment, 4)
        await say(environment, "resume")
        await until(environment, lambda lane: _runs(lane, "hello-4"))
        assert [name for _, name in world.applied] == ["hello-1", "hello-2", "hello-4"]


async def test_a_set_is_taken_back_wherever_it_has_come(serve: Serve) -> None:
    """A compensation: of what ran, of what is under way, of what only waits; it sets no floor."""
    world = World(apply_gate=asyncio.Event())
    assert world.apply_gate is not None
    world.apply_gate.set()
    async with serve(world) as environment:
        await deployed(environment, 1, 2)
        await ask(environment, 2, id="back-2", kind="restore", undo_of="r2", set="s")
        lane = await settle(environment, PLACE, 3)
        assert told(lane)[-1] == ("hello-1", "rollback", "healthy")
        assert lane.floor == 0

        world.apply_gate.clear()
        await ask(environment, 3)
        await until(environment, lambda lane: lane.deploying == 4)
        await ask(environment, 3, id="back-3", kind="restore", undo_of="r3", set="s")
        await until(environment, lambda lane: "back-3" in lane.recent)
        world.apply_gate.set()
        lane = await settle(environment, PLACE, 5)
        assert told(lane)[-2:] == [("hello-3", "deploy", "cancelled"), ("hello-1", "rollback", "healthy")]

        await say(environment, "hold")
        await ask(environment, 4)
        await ask(environment, 4, id="back-4", kind="restore", undo_of="r4", set="s")
        lane = await lane_state(environment, PLACE)
        assert lane.waiting == []
        await ask(environment, 4)
        assert (await lane_state(environment, PLACE)).waiting == [], "what comes late is known to be taken back"
        assert await say(environment, "resume") == "Resumed"
        await deployed(environment, 5)


async def test_at_most_one_deployment_runs_under_fifty_requests_at_once(serve: Serve) -> None:
    """Asserted from the start and end times of the deployments, as Temporal has them."""
    world = World()
    chance = random.Random(4)
    updates = asyncio.Semaphore(5)  # Temporal takes ten updates of one workflow at once

    async def by_hand(environment: WorkflowEnvironment, number: int) -> None:
        async with updates:
            await say(environment, "deploy", release=release(number), allow_older=True)

    async with serve(world) as environment:
        await deployed(environment, 1)
        calls: list[Awaitable[object]] = [ask(environment, number) for number in range(2, 37)]
        calls += [by_hand(environment, number) for number in range(2, 17)]
        chance.shuffle(calls)
        await asyncio.gather(*calls)
        lane = await until(environment, lambda lane: not (lane.deploying or lane.orders or lane.waiting))
        spans = [await span(environment, entry) for entry in lane.history if entry.result != "superseded"]
        assert len(spans) > 2
        for earlier, later in pairwise(spans):
            assert earlier[1] <= later[0], f"{earlier} and {later} overlap"
        assert lane.current is not None
        assert world.running[PLACE] == lane.current, "what the lane believes is what runs"


async def span(environment: WorkflowEnvironment, entry: Revision) -> tuple[float, float]:
    rollout = environment.client.get_workflow_handle(ids.rollout(KEY, PLACE, entry.number))
    description = await rollout.describe()
    assert description.close_time is not None
    return description.start_time.timestamp(), description.close_time.timestamp()


async def test_a_lane_of_older_rules_is_renewed_and_forgets_nothing(serve: Serve) -> None:
    """A run that began before an upgrade goes on by today's rules after its next deployment."""
    world = World()
    async with serve(world) as environment:
        lane = ids.lane(KEY, PLACE)
        await environment.client.start_workflow(Lane.run, LaneState(), id=lane, task_queue=ids.CONTROL_QUEUE)
        first = await environment.client.get_workflow_handle(lane).describe()
        await deployed(environment, 1)
        await until(environment, lambda state: state.rules == RULES)
        state = await deployed(environment, 2)
        assert [entry.number for entry in state.history] == [1, 2]
        assert (await environment.client.get_workflow_handle(lane).describe()).run_id != first.run_id
        await ask(environment, 1)
        assert (await lane_state(environment, PLACE)).waiting == [], "what was asked before is still known"


async def test_an_approved_release_that_was_pinned_at_the_gate_stays_pinned(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        first = await walk(environment, 1)
        await phase(environment, first, "production", "at-gate")
        assert await say(environment, "pin", "production") == "Pinned"
        await walk(environment, 2)
        lane = await until(environment, lambda lane: len(lane.candidates) == 2, "production")
        assert [waiting.release.name for waiting in lane.candidates] == ["hello-1", "hello-2"]
        await approve(first, approval(1, BOB))
        assert (await first.result()).steps["production"].phase == "healthy"


@pytest.mark.parametrize("kind", ["accept", "pin", "undo", "rollback", "resume"])
async def test_an_order_that_means_nothing_here_is_refused_with_a_reason(serve: Serve, kind: str) -> None:
    wanted = {
        "accept": "NothingToAccept",
        "pin": "NotWaiting",
        "undo": "NothingToGoBackTo",
        "rollback": "NothingToGoBackTo",
        "resume": "NotHeld",
    }
    async with serve(World()) as environment:
        await deployed(environment, 1)
        assert await say(environment, kind) == wanted[kind]
