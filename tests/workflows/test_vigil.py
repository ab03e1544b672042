"""What is promoted is watched on, and what is inconclusive waits for a person; in skipped time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.lanes import Lanes
from model import ids
from model.actor import AUTOMATION
from model.check import JobCheck
from model.failure import UserFailure
from model.job import JobRequest, JobResult
from model.lane import LaneRequest, LaneState, Order
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.rollout import RolloutRequest
from model.sampling import Result, Sample
from model.sight import PODS, Answered, Sight, look
from model.verdict import Verdict
from model.vigil import VigilRequest
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, lane_state, order, settle
from tests.workflows.world import COMPONENT, HEALTHY, KEY, World, release
from workflows.vigil import Vigil

NAME = "staging"
UNCLEAR = Verdict(health="inconclusive", reason="QueryInconclusive", message="Query errors: there is no data.")


@dataclass
class Watched(World):
    """A world in which looks and verifications are scripted: `script` says what the n-th look at a commit sees."""

    script: Callable[[int, int], Result | None] = lambda _commit, _number: "passed"
    verifications: dict[int, Verdict] = field(default_factory=dict)
    looked: list[tuple[int, int]] = field(default_factory=list)
    jobs: list[JobRequest] = field(default_factory=list)
    job: JobResult | None = None

    def all(self) -> list[Callable[..., Any]]:
        others = [each for each in super().all() if getattr(each, "__name__", "") != "verify"]
        return [*others, self.verify_scripted, self.look, self.run_job]

    @activity.defn(name="verification.verify")
    async def verify_scripted(self, request: RolloutRequest) -> Verdict:
        return self.verifications.get(int(request.release.commit.id, 16), HEALTHY)

    @activity.defn(name="verification.look")
    async def look(self, request: VigilRequest) -> Sight:
        number = int(request.release.commit.id, 16)
        result = self.script(number, request.memory.looks + 1)
        if result is None:
            raise UserFailure("Forbidden", "pods is forbidden")
        self.looked.append((number, request.memory.looks + 1))
        return look(request.memory, [Answered(PODS, Sample(at=1, result=result, said=f"are {result}"))])

    @activity.defn(name="jobs.run")
    async def run_job(self, request: JobRequest) -> JobResult:
        self.jobs.append(request)
        assert self.job is not None
        return self.job


def request(number: int, **policy: Any) -> LaneRequest:
    """A deployment of the n-th release into the lane, watched for ten minutes."""
    rules = {"watch_seconds": 600, "watch_interval_seconds": 60} | policy
    return LaneRequest(
        id=f"deploy-{number}",
        kind="deploy",
        component=COMPONENT,
        step=EnvironmentStep(environment=NAME, policy=StepPolicy.model_validate(rules)),
        release=release(number),
        actor=AUTOMATION,
    )


async def deploy(environment: WorkflowEnvironment, number: int, revision: int, **policy: Any) -> LaneState:
    """Deploy the n-th release and wait until the lane has closed the revision."""
    await Lanes(environment.client).request(request(number, **policy))
    return await settle(environment, NAME, revision)


async def started(environment: WorkflowEnvironment, revision: int) -> WorkflowHandle[Vigil, Verdict]:
    """The vigil of a revision, once the lane has started it."""
    while (await lane_state(environment, NAME)).vigil != ids.vigil(KEY, NAME, revision):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return environment.client.get_workflow_handle_for(Vigil.run, ids.vigil(KEY, NAME, revision))


async def end(
    environment: WorkflowEnvironment, revision: int, after: timedelta = timedelta(minutes=11)
) -> Verdict:
    """How the vigil of a revision ends, when time flies."""
    return await ended(environment, await started(environment, revision))


async def ended(environment: WorkflowEnvironment, handle: WorkflowHandle[Vigil, Verdict]) -> Verdict:
    """The result, minute by minute: a loaded machine may not get far within the time that one call may take."""
    while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        await environment.sleep(timedelta(minutes=1))
    return await handle.result()


async def test_what_stays_healthy_is_looked_at_until_its_time_is_over(serve: Serve) -> None:
    world = Watched()
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        verdict = await end(environment, 1)
        assert (verdict.health, verdict.reason) == ("healthy", "StayedHealthy")
        assert world.looked == [(1, number) for number in range(1, 11)]


async def test_what_turns_unhealthy_after_its_promotion_goes_back(serve: Serve) -> None:
    world = Watched(script=lambda commit, number: "failed" if commit == 2 and number > 4 else "passed")
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        await deploy(environment, 2, 2)
        verdict = await end(environment, 2)
        assert (verdict.health, verdict.reason) == ("unhealthy", "PodsUnhealthy")
        state = await settle(environment, NAME, 3)
        assert world.looked[-1] == (2, 7), "three failing looks in a row, and no more"
        assert world.running[NAME] == release(1)
        assert state.last_good == release(1)
        entry = next(entry for entry in state.history if entry.number == 2)
        assert entry.result == "unhealthy"
        assert state.history[-1].kind == "rollback"


async def test_failing_now_and_then_is_no_alarm(serve: Serve) -> None:
    world = Watched(script=lambda _commit, number: "failed" if number % 3 else "passed")
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        assert (await end(environment, 1)).health == "healthy"
        assert (await lane_state(environment, NAME)).current == release(1)
        assert len(world.looked) == 10


@pytest.mark.parametrize("nothing", ["unreachable", None])
async def test_what_cannot_be_seen_is_told_and_not_acted_on(serve: Serve, nothing: Any) -> None:
    world = Watched(script=lambda _commit, _number: nothing)
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        await deploy(environment, 2, 2, watch_seconds=120)
        verdict = await end(environment, 2)
        assert verdict.health == "inconclusive"
        state = await lane_state(environment, NAME)
        assert state.current == release(2)
        assert [entry.number for entry in state.history] == [1, 2]


async def test_a_newer_deployment_ends_the_older_vigil(serve: Serve) -> None:
    world = Watched()
    async with serve(world) as environment:
        await deploy(environment, 1, 1, watch_seconds=30 * 86_400, watch_interval_seconds=86_400)
        first = await started(environment, 1)
        await deploy(environment, 2, 2)
        assert (await first.result()).reason == "NoLongerWatched"
        assert (await end(environment, 2)).health == "healthy"


async def test_a_vigil_outlives_its_worker_and_counts_on(serve: Serve) -> None:
    # Without a cache every step is replayed from history, as by a worker that has just come up.
    world = Watched(script=lambda commit, number: "failed" if commit == 2 and number > 1 else "passed")
    async with serve(world, max_cached_workflows=0) as environment:
        await deploy(environment, 1, 1)
        await deploy(environment, 2, 2, watch_interval_seconds=120)
        handle = await started(environment, 2)
        await environment.sleep(timedelta(minutes=2, seconds=5))
        assert (await handle.query(Vigil.memory)).looks >= 1
    async with serve(world, max_cached_workflows=0) as environment:
        verdict = await ended(environment, handle)
        assert verdict.health == "unhealthy"
        assert [number for commit, number in world.looked if commit == 2] == [1, 2, 3, 4]
        await settle(environment, NAME, 3)
        assert world.running[NAME] == release(1)


async def test_no_vigil_without_a_word_of_the_policy(serve: Serve) -> None:
    world = Watched()
    async with serve(world) as environment:
        state = await deploy(environment, 1, 1, watch_seconds=0)
        assert state.vigil == ""
        await environment.sleep(timedelta(hours=1))
        assert world.looked == []


async def test_an_inconclusive_release_is_held_until_a_person_accepts_it(serve: Serve) -> None:
    world = Watched(verifications={2: UNCLEAR})
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        state = await deploy(environment, 2, 2)
        assert state.history[-1].result == "inconclusive"
        assert (state.current, state.last_good) == (release(2), release(1))
        assert state.hold is not None
        assert "there is no data" in state.hold.reason
        accepted = await order(environment, NAME, Order(id="yes", kind="accept", actor=ALICE, reason="seen it"))
        assert accepted.accepted
        state = await lane_state(environment, NAME)
        assert state.last_good == release(2)


async def test_a_policy_may_send_what_is_inconclusive_back(serve: Serve) -> None:
    world = Watched(verifications={2: UNCLEAR})
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        state = await deploy(environment, 2, 2, on_inconclusive="rollback")
        assert state.history[-1].result == "rolled-back"
        assert (state.current, state.last_good) == (release(1), release(1))
        assert state.hold is None


@pytest.mark.parametrize(
    ("job", "result"),
    [
        (JobResult(result="succeeded", reason="JobSucceeded", message="", exit_code=0), "healthy"),
        (JobResult(result="failed", reason="BackoffLimitExceeded", message="", exit_code=3), "rolled-back"),
        (JobResult(result="unknown", reason="JobGone", message=""), "inconclusive"),
    ],
)
async def test_a_job_of_the_release_decides(serve: Serve, job: JobResult, result: str) -> None:
    checks = (JobCheck(name="smoke", command=("/smoke",)),)
    world = Watched()
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        world.job = job
        state = await deploy(environment, 2, 2, jobs=checks)
        assert state.history[-1].result == result
        assert [(asked.release, asked.command) for asked in world.jobs] == [(release(2), ("/smoke",))]
        assert len(world.jobs) == 1, "on the way back nothing is asked of Jobs"


async def test_a_rollout_that_nobody_could_see_is_held_and_one_that_was_seen_unwell_goes_back(
    serve: Serve,
) -> None:
    unseen = Verdict(health="inconclusive", reason="DeadlineExceeded", message="The API server is away.")
    # The data plane's own word, as activities/rolloutwatch.py says it.
    unwell = Verdict(health="unhealthy", reason="DeadlineExceeded", message="Pod hello-3 is not ready.")
    world = Watched(verdicts={(NAME, 2): unwell, (NAME, 3): unseen})
    async with serve(world) as environment:
        await deploy(environment, 1, 1)
        state = await deploy(environment, 2, 2)
        assert (state.history[-1].result, state.current) == ("rolled-back", release(1))
        state = await deploy(environment, 3, 3)
        assert (state.history[-1].result, state.current) == ("inconclusive", release(3))
        assert state.last_good == release(1)
