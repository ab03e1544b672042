"""Canary and blue-green deployments over a scripted cluster: what is asked of it, in which order, and why."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.lane import Answer, LaneState, Order, Revision
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.rollout import Applied, RolloutRequest
from model.steer import Steer
from model.strategy import CanaryStep, Strategy
from model.verdict import Verdict
from model.workload import Endpoint, Workload
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, lane_state, order, promote, settle
from tests.workflows.world import CRASHING, HEALTHY, KEY, World
from workflows.lane import Lane
from workflows.rollout import Rollout

PLACE = "development"
AT_STOP = Verdict(health="healthy", reason="StopReached", message="one new pod beside three")
STABLE = Verdict(health="healthy", reason="RolloutStable", message="all run it")
FAILING = Verdict(health="unhealthy", reason="QueryFailed", message="half of the answers are errors")
UNKNOWN = Verdict(health="inconclusive", reason="NoData", message="the query came to nothing")
TWO_STOPS = Strategy(kind="canary", steps=(CanaryStep(weight=20), CanaryStep(weight=50)))
ASKS = Strategy(kind="canary", steps=(CanaryStep(weight=20, person=True),))
SWITCH = Strategy(kind="blueGreen", person=True)


def staged(strategy: Strategy, **rules: Any) -> Pipeline:
    policy = StepPolicy.model_validate({"strategy": strategy, **rules})
    return Pipeline(name="default", steps=(EnvironmentStep(environment=PLACE, policy=policy),))


@dataclass
class Staged(World):
    """A cluster with Argo Rollouts: `done` is what was asked of it. `said[(number, service)]`: verdicts on the
    n-th release, one after the other, then healthy. `trouble` ends the guard."""

    done: list[str] = field(default_factory=list)
    said: dict[tuple[int, str], list[Verdict]] = field(default_factory=dict)
    trouble: Verdict | None = None
    stable: str = ""
    guarding: int = 0

    def all(self) -> list[Callable[..., Any]]:
        return [*super().all(), self.guard, self.proceed, self.abort]

    @activity.defn(name="cluster.apply")
    async def apply(self, request: RolloutRequest) -> Applied:
        name = request.release.name
        self.done.append(f"back to {name}" if request.going_back else f"apply {name}")
        self.running[PLACE] = request.release
        strategy = request.target.step.policy.strategy
        assert strategy is not None
        direct = request.going_back or self.stable in ("", name)
        return Applied(
            namespace=PLACE, name=name, uid="r", generation=1, kind="Rollout", fence=request.fence,
            image=request.release.image.reference, stability_seconds=0, deadline_seconds=10,
            stops=0 if direct else len(strategy.stops),
        )  # fmt: skip

    @activity.defn(name="cluster.watch")
    async def watch(self, applied: Applied) -> Verdict:
        number = int(applied.name.rpartition("-")[2])
        if (PLACE, number) in self.verdicts:
            return self.verdicts[PLACE, number]
        if applied.stop >= 0:
            return AT_STOP
        self.stable = applied.name
        return STABLE

    @activity.defn(name="verification.verify")
    async def verify(self, request: RolloutRequest) -> Verdict:
        self.done.append(f"verify {request.release.name} at {request.service or 'its own Service'}")
        said = self.said.get((int(request.release.commit.id, 16), request.service), [])
        return said.pop(0) if said else HEALTHY

    @activity.defn(name="progress.guard")
    async def guard(self, _applied: Applied) -> Verdict:
        self.guarding += 1
        try:
            while self.trouble is None:
                activity.heartbeat()
                await asyncio.sleep(0.05)
            return self.trouble
        finally:
            self.guarding -= 1

    @activity.defn(name="progress.proceed")
    async def proceed(self, applied: Applied) -> None:
        self.done.append(f"proceed past {applied.stop}")

    @activity.defn(name="progress.abort")
    async def abort(self, applied: Applied) -> None:
        self.done.append(f"abort {applied.name}")


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases with an endpoint, so that there is something to switch and to ask."""
    from tests.workflows import world

    def workload() -> Workload:
        return Workload(endpoints=(Endpoint(name="http", port=80),))

    monkeypatch.setattr(world, "Workload", workload)


async def waiting(environment: WorkflowEnvironment, reason: str) -> LaneState:
    """Wait until the lane says that its deployment waits for this."""
    async with asyncio.timeout(60):
        while True:
            state = await lane_state(environment, PLACE)
            if state.pause is not None and state.pause.reason == reason:
                return state
            await asyncio.sleep(0.02)


async def steer(environment: WorkflowEnvironment, kind: str, revision: int = 2, id: str = "") -> Answer:
    said = Steer.model_validate({"id": id or kind, "kind": kind, "actor": ALICE, "reason": "looked at it"})
    handle = environment.client.get_workflow_handle_for(Rollout.run, ids.rollout(KEY, PLACE, revision))
    return await handle.execute_update(Rollout.steer, said, id=said.id)


async def second(environment: WorkflowEnvironment, world: Staged) -> None:
    """The first release runs, the second is on its way."""
    await (await promote(environment, 1)).result()
    world.done.clear()
    await promote(environment, 2)


async def closed(environment: WorkflowEnvironment, revision: int = 2) -> Revision:
    async with asyncio.timeout(60):
        return (await settle(environment, PLACE, revision)).history[-1]


async def test_every_weight_is_proven_at_the_canary_before_the_next(serve: Serve) -> None:
    world = Staged(pipeline=staged(TWO_STOPS))
    async with serve(world) as environment:
        await second(environment, world)
        assert (await closed(environment)).result == "healthy"
    assert world.done == [
        "apply hello-2",
        "verify hello-2 at hello-canary",
        "proceed past 0",
        "verify hello-2 at hello-canary",
        "proceed past 1",
        "verify hello-2 at its own Service",
    ]
    assert not world.guarding


async def test_a_bad_verdict_stops_the_canary_and_leads_back_without_stops(serve: Serve) -> None:
    world = Staged(pipeline=staged(TWO_STOPS), said={(2, "hello-canary"): [HEALTHY, FAILING]})
    async with serve(world) as environment:
        await second(environment, world)
        ended = await closed(environment)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "QueryFailed")
    assert world.done[-3:] == ["abort hello-2", "back to hello-1", "verify hello-1 at its own Service"]
    assert "proceed past 1" not in world.done


@pytest.mark.parametrize("strategy", [ASKS, SWITCH], ids=lambda strategy: strategy.kind)
async def test_a_stop_for_a_person_says_so_until_one_lets_it_proceed_once(
    serve: Serve, strategy: Strategy
) -> None:
    world = Staged(pipeline=staged(strategy))
    async with serve(world) as environment:
        await second(environment, world)
        lane = await waiting(environment, "PausedForPerson")
        assert lane.pause is not None
        assert "HealthCheckPassed" in lane.pause.message or "towpath proceed" in lane.pause.message
        assert not any(step.startswith("proceed") for step in world.done)
        notes = [note for note in world.notes if note.reason == "PausedForPerson"]
        assert notes
        assert notes[-1].environment is not None
        assert notes[-1].environment.health == "Waiting"
        first = await steer(environment, "proceed")
        again = await steer(environment, "proceed")
        assert (first.reason, again.reason) == ("Proceeding", "Proceeding")  # the same update: the same answer
        assert (await closed(environment)).result == "healthy"
        assert (await lane_state(environment, PLACE)).pause is None
    assert world.done.count("proceed past 0") == 1


async def test_a_person_takes_a_waiting_canary_back(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS))
    async with serve(world) as environment:
        await second(environment, world)
        await waiting(environment, "PausedForPerson")
        assert (await steer(environment, "abort")).reason == "Aborting"
        ended = await closed(environment)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "AbortedByPerson")
    assert ended.verdict is not None
    assert "alice" in ended.verdict.message
    assert "looked at it" in ended.verdict.message
    assert [step for step in world.done if "verify" not in step] == [
        "apply hello-2",
        "abort hello-2",
        "back to hello-1",
    ]


async def test_a_canary_that_goes_down_while_it_waits_for_a_person_goes_back_at_once(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS))
    async with serve(world) as environment:
        await second(environment, world)
        await waiting(environment, "PausedForPerson")
        world.trouble = CRASHING
        ended = await closed(environment)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "CrashLoopBackOff")
    assert "back to hello-1" in world.done


async def test_a_rollout_that_aborts_by_itself_leads_the_lane_back_as_well(serve: Serve) -> None:
    aborted = Verdict(health="unhealthy", reason="RolloutAborted", message="it exceeded its progress deadline")
    world = Staged(pipeline=staged(TWO_STOPS))
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        world.verdicts = {(PLACE, 2): aborted}
        await promote(environment, 2)
        ended = await closed(environment)
        lane = await lane_state(environment, PLACE)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "RolloutAborted")
    # The declared template is the stable one again: lane and cluster say the same.
    assert world.running[PLACE].name == "hello-1"
    assert lane.current is not None
    assert lane.current.name == "hello-1"


async def test_nobody_can_tell_at_a_stop_so_a_person_decides(serve: Serve) -> None:
    world = Staged(pipeline=staged(TWO_STOPS), said={(2, "hello-canary"): [UNKNOWN]})
    async with serve(world) as environment:
        await second(environment, world)
        lane = await waiting(environment, "Inconclusive")
        assert lane.pause is not None
        assert "NoData" in lane.pause.message
        assert not any(step.startswith("proceed") for step in world.done)
        await steer(environment, "proceed")
        assert (await closed(environment)).result == "healthy"


async def test_nobody_can_tell_and_the_policy_says_back(serve: Serve) -> None:
    rules = staged(TWO_STOPS, on_inconclusive="rollback")
    world = Staged(pipeline=rules, said={(2, "hello-canary"): [UNKNOWN]})
    async with serve(world) as environment:
        await second(environment, world)
        ended = await closed(environment)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "NoData")
    assert "abort hello-2" in world.done


async def test_nobody_can_tell_at_the_end_so_the_lane_is_held_with_the_release_running(serve: Serve) -> None:
    world = Staged(pipeline=staged(TWO_STOPS), said={(2, ""): [UNKNOWN]})
    async with serve(world) as environment:
        await second(environment, world)
        ended = await closed(environment)
        lane = await lane_state(environment, PLACE)
    assert ended.result == "inconclusive"
    assert not any("back" in step or "abort" in step for step in world.done)
    assert lane.current is not None
    assert lane.current.name == "hello-2"
    assert lane.last_good is not None
    assert lane.last_good.name == "hello-1"
    assert lane.hold is not None
    assert "NoData" in lane.hold.reason


async def test_nobody_proceeds_in_time_so_it_goes_back(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS, gate_lasts_seconds=1.0))
    async with serve(world) as environment:
        await second(environment, world)
        ended = await closed(environment)
    assert (ended.result, ended.verdict and ended.verdict.reason) == ("rolled-back", "NobodyProceeded")


async def test_time_passes_at_a_stop_by_itself_and_a_person_may_cut_it_short(serve: Serve) -> None:
    timed = Strategy(
        kind="canary", steps=(CanaryStep(weight=20, pause_seconds=0.2), CanaryStep(weight=50, pause_seconds=9e5))
    )
    world = Staged(pipeline=staged(timed))
    async with serve(world) as environment:
        await second(environment, world)
        while True:
            lane = await waiting(environment, "PausedForTime")
            assert lane.pause is not None
            if lane.pause.stop == 2:
                break
            await asyncio.sleep(0.02)
        await steer(environment, "proceed")
        assert (await closed(environment)).result == "healthy"
    assert world.done.count("verify hello-2 at hello-canary") == 2


async def test_a_persons_rollback_goes_before_a_canary_that_waits(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS))
    async with serve(world) as environment:
        await second(environment, world)
        await waiting(environment, "PausedForPerson")
        given = Order(id="back", kind="rollback", actor=ALICE, revision=1)
        assert (await order(environment, PLACE, given)).accepted
        lane = await settle(environment, PLACE, 3)
    assert [(entry.kind, entry.result) for entry in lane.history[-2:]] == [
        ("deploy", "cancelled"),
        ("rollback", "healthy"),
    ]
    # The canary was left where it stood; what comes next has no stops.
    assert [step for step in world.done if "verify" not in step] == ["apply hello-2", "back to hello-1"]


async def test_a_waiting_canary_is_taken_up_from_its_history_alone(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS))
    # Nothing is kept in memory, as if the worker died after every single step.
    async with serve(world, max_cached_workflows=0) as environment:
        await second(environment, world)
        await waiting(environment, "PausedForPerson")
        await steer(environment, "proceed")
        assert (await closed(environment)).result == "healthy"
    assert world.done.count("apply hello-2") == 1
    assert world.done.count("proceed past 0") == 1


async def test_what_cannot_be_steered_is_refused_with_its_reason(serve: Serve) -> None:
    world = Staged(pipeline=staged(ASKS))
    world.apply_gate = asyncio.Event()
    async with serve(world) as environment:
        await second(environment, world)
        await waiting(environment, "PausedForPerson")
        await steer(environment, "abort")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await steer(environment, "proceed", id="late")
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError)
        assert cause.type == "NotSteerable"
        await closed(environment)
        state = await environment.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, PLACE)).query(Lane.state)
        assert state.pause is None
