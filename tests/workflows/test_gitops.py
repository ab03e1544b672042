"""Delivery by way of Git, over a scripted repository and controller, in skipped time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.commits import Commits
from model import ids
from model.actor import Actor
from model.delivery import DeliveryState
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.gitops import Ancestry, AppliedAnswer, AppliedQuestion, MergeRequest, WriteRequest, Written
from model.gitops_policy import Controller, GitOps
from model.lane import LaneState, Order
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.promotion import PromotionState
from model.rebinding import RebindingAnswer, RebindingLook, RebindingRequest, RebindingState
from model.release import Release
from model.rollout import Applied, RolloutRequest
from model.source import Changes, ChangesRequest
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, lane_state, order, promote
from tests.workflows.world import CRASHING, KEY, World, commit, push, release
from workflows.delivery import Delivery
from workflows.promotion import Promotion
from workflows.rebinding import Rebinding

DEVELOPMENT = "development"


def gitops(**changed: Any) -> GitOps:
    stated = {"url": "http://git.test/ops.git", "path": "f.yaml", "write": "kustomizeImage", "image": "hello"}
    controller = Controller(name="apps", namespace="flux")
    return GitOps.model_validate({**stated, "controller": controller, **changed})


def one_step(**changed: Any) -> Pipeline:
    policy = StepPolicy(gitops=gitops(**changed))
    return Pipeline(name="default", steps=(EnvironmentStep(environment=DEVELOPMENT, policy=policy),))


@dataclass
class GitWorld(World):
    """A repository whose commits are numbers, and a controller that takes its head.

    `unapplied` are releases that it never takes, `unbuildable` those it refuses. `flaky`: every step fails once
    after it was done, as when its worker dies.
    """

    pipeline: Pipeline = field(default_factory=one_step)
    commits: list[WriteRequest] = field(default_factory=list)
    others: int = 0
    refusals: list[Exception] = field(default_factory=list)
    conflicts: list[Exception] = field(default_factory=list)
    unapplied: set[str] = field(default_factory=set)
    unbuildable: set[str] = field(default_factory=set)
    merge: asyncio.Event = field(default_factory=asyncio.Event)
    withdrawn: list[str] = field(default_factory=list)
    flaky: bool = False
    died: set[str] = field(default_factory=set)
    written: dict[str, str] = field(default_factory=dict)
    looks: list[RebindingLook] = field(default_factory=list)
    told: list[RebindingAnswer] = field(default_factory=list)
    more: list[Callable[..., Any]] = field(default_factory=list)

    def all(self) -> list[Callable[..., Any]]:
        return [
            *super().all(), self.write, self.merged, self.withdraw, self.holds, self.is_applied, self.found,
            self.look, self.answer, *self.more,
        ]  # fmt: skip

    def said(self) -> str:
        """The release that Git says."""
        return self.commits[-1].request.release.name if self.commits else ""

    def _die_once(self, step: str) -> None:
        if self.flaky and step not in self.died:
            self.died.add(step)
            raise InfrastructureFailure("Died", f"the worker died after {step}")

    @activity.defn(name="gitops.write")
    async def write(self, request: WriteRequest) -> Written:
        if self.refusals and not request.reverts:
            raise self.refusals.pop(0)
        if self.conflicts and request.reverts:
            raise self.conflicts.pop(0)
        known = [(one.rollout, one.request.release.name, one.reverts) for one in self.commits]
        mine = (request.rollout, request.request.release.name, request.reverts)
        if mine not in known:
            self.commits.append(request)
        number = len(self.commits) if mine not in known else known.index(mine) + 1
        self._die_once(f"write {mine}")
        policy = request.request.target.step.policy.gitops
        assert policy is not None
        proposal = f"towpath/{number}" if policy.mode == "pullRequest" else ""
        return Written(commit=commit(number).id, own=True, proposal=proposal)

    @activity.defn(name="gitops.merged")
    async def merged(self, asked: MergeRequest) -> Written:
        while not self.merge.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.02)
        return asked.written.model_copy(update={"proposal": ""})

    @activity.defn(name="gitops.withdraw")
    async def withdraw(self, asked: MergeRequest) -> None:
        self.withdrawn.append(asked.written.proposal)

    @activity.defn(name="gitops.holds")
    async def holds(self, asked: Ancestry) -> bool:
        self._die_once(f"holds {asked.commit} {asked.revision}")
        return int(asked.revision, 16) >= int(asked.commit, 16)

    @activity.defn(name="gitops.applied")
    async def is_applied(self, question: AppliedQuestion) -> AppliedAnswer:
        taken = [
            number
            for number, one in enumerate(self.commits, start=1)
            if one.request.release.name not in self.unapplied
        ]
        revision = commit((taken[-1] if taken else 0) + self.others).id
        self._die_once(f"applied {question.expected} {revision}")
        if revision in question.known:
            return AppliedAnswer(state="waiting", reason="OlderRevision", message="it sleeps")
        if self.said() in self.unbuildable:
            return AppliedAnswer(state="failed", revision=revision, reason="BuildFailed", message="no such file")
        return AppliedAnswer(state="applied", revision=revision, reason="Applied")

    @activity.defn(name="gitops.found")
    async def found(self, request: RolloutRequest) -> Applied:
        environment = request.target.step.environment
        self.running[environment] = request.release
        self._die_once(f"found {request.release.name}")
        self.deploying[environment] += 1
        return Applied(
            namespace=environment, name="hello", uid="d", generation=1, image=request.release.image.reference,
            stability_seconds=0, deadline_seconds=10,
        )  # fmt: skip

    @activity.defn(name="source.changes")
    async def changes(self, request: ChangesRequest) -> Changes:
        found = await super().changes(request)
        return found.model_copy(update={"written": self.written})

    @activity.defn(name="bindings.look")
    async def look(self, _request: RebindingRequest) -> RebindingLook:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    @activity.defn(name="bindings.answer")
    async def answer(self, answer: RebindingAnswer) -> None:
        self.told.append(answer)


async def deploy(environment: WorkflowEnvironment, number: int) -> PromotionState:
    """Promote a release through the one environment, to the end."""
    return await (await promote(environment, number)).result()


def results(state: LaneState) -> list[str]:
    return [line.result for line in state.history]


async def test_a_release_goes_by_way_of_git_and_the_engine_applies_nothing(serve: Serve) -> None:
    world = GitWorld()
    async with serve(world) as environment:
        ended = await deploy(environment, 1)
    assert ended.steps[DEVELOPMENT].phase == "healthy"
    assert [one.request.release.name for one in world.commits] == ["hello-1"]
    assert world.applied == []


@pytest.mark.parametrize("flaky", [False, True])
async def test_a_release_that_crashes_takes_its_own_commit_back(serve: Serve, flaky: bool) -> None:
    world = GitWorld(verdicts={(DEVELOPMENT, 2): CRASHING}, flaky=flaky)
    # Without a cache every step is a replay, as after the death of a worker.
    async with serve(world, **({"max_cached_workflows": 0} if flaky else {})) as environment:
        await deploy(environment, 1)
        ended = await deploy(environment, 2)
        state = await lane_state(environment, DEVELOPMENT)
    assert ended.steps[DEVELOPMENT].phase == "rolled-back"
    assert results(state) == ["healthy", "rolled-back"]
    assert [(one.request.release.name, one.reverts) for one in world.commits] == [
        ("hello-1", ""),
        ("hello-2", ""),
        ("hello-1", commit(2).id),
    ]
    assert world.running[DEVELOPMENT].name == "hello-1"
    assert world.applied == []


async def test_a_first_release_that_fails_does_not_stay_in_git(serve: Serve) -> None:
    world = GitWorld(verdicts={(DEVELOPMENT, 1): CRASHING})
    async with serve(world) as environment:
        ended = await deploy(environment, 1)
    assert ended.steps[DEVELOPMENT].phase == "failed"
    assert world.commits[-1].reverts == commit(1).id


async def test_what_the_controller_cannot_apply_is_reverted_for_its_reason(serve: Serve) -> None:
    world = GitWorld(unbuildable={"hello-2"})
    async with serve(world) as environment:
        await deploy(environment, 1)
        await deploy(environment, 2)
        state = await lane_state(environment, DEVELOPMENT)
    verdict = state.history[-1].verdict
    assert verdict is not None
    assert (state.history[-1].result, verdict.reason) == ("rolled-back", "BuildFailed")
    assert world.said() == "hello-1"


async def test_a_controller_that_does_not_come_is_waited_for_and_then_not_believed(serve: Serve) -> None:
    world = GitWorld(unapplied={"hello-2"})
    async with serve(world) as environment:
        await deploy(environment, 1)
        await deploy(environment, 2)
        state = await lane_state(environment, DEVELOPMENT)
    verdict = state.history[-1].verdict
    assert verdict is not None
    assert (verdict.health, verdict.reason) == ("inconclusive", "ControllerNotInTime")
    assert world.said() == "hello-1"


async def test_a_later_commit_that_holds_ours_is_as_good(serve: Serve) -> None:
    world = GitWorld(others=3)
    async with serve(world) as environment:
        assert (await deploy(environment, 1)).steps[DEVELOPMENT].phase == "healthy"


async def test_a_revert_that_meets_somebody_elses_change_holds_the_lane_and_says_so(serve: Serve) -> None:
    world = GitWorld(verdicts={(DEVELOPMENT, 2): CRASHING})
    world.conflicts.append(Conflict("GitOpsRevertConflict", "f.yaml was changed since: put it right by hand."))
    async with serve(world) as environment:
        await deploy(environment, 1)
        await deploy(environment, 2)
        state = await lane_state(environment, DEVELOPMENT)
    assert state.history[-1].result == "stuck"
    assert state.hold is not None
    assert world.said() == "hello-2"


async def test_a_file_that_cannot_be_written_leaves_everything_as_it_was(serve: Serve) -> None:
    world = GitWorld()
    async with serve(world) as environment:
        await deploy(environment, 1)
        world.refusals.append(UserFailure("GitOpsFileUnreadable", "f.yaml: images has no entry"))
        ended = await deploy(environment, 2)
        state = await lane_state(environment, DEVELOPMENT)
    assert ended.steps[DEVELOPMENT].phase == "failed"
    assert state.history[-1].result == "untouched"
    assert (world.said(), world.running[DEVELOPMENT].name) == ("hello-1", "hello-1")


async def test_a_releasebinding_in_git_is_waited_for_and_then_applied_by_the_engine(serve: Serve) -> None:
    world = GitWorld(pipeline=one_step(write="releaseBinding"))
    async with serve(world) as environment:
        assert (await deploy(environment, 1)).steps[DEVELOPMENT].phase == "healthy"
    assert world.applied == [(DEVELOPMENT, "hello-1")]
    assert world.said() == "hello-1"


async def proposed(world: GitWorld) -> None:
    while not any(note.reason == "AwaitingMerge" for note in world.notes):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_a_proposal_is_told_and_goes_on_once_a_person_has_merged_it(serve: Serve) -> None:
    world = GitWorld(pipeline=one_step(mode="pullRequest"))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        with environment.auto_time_skipping_disabled():
            await proposed(world)
        assert "merge branch towpath/1" in next(n for n in world.notes if n.reason == "AwaitingMerge").message
        world.merge.set()
        assert (await walk.result()).steps[DEVELOPMENT].phase == "healthy"


async def test_a_proposal_that_nobody_merges_is_withdrawn_in_time(serve: Serve) -> None:
    world = GitWorld(pipeline=one_step(mode="pullRequest", merge_seconds=2))
    async with serve(world) as environment:
        ended = await deploy(environment, 1)
    assert ended.steps[DEVELOPMENT].phase == "failed"
    assert world.withdrawn == ["towpath/1"]


async def test_a_persons_rollback_withdraws_a_proposal_that_waits(serve: Serve) -> None:
    world = GitWorld(pipeline=one_step(mode="pullRequest"))
    world.merge.set()
    async with serve(world) as environment:
        await deploy(environment, 1)
        await deploy(environment, 2)
        world.merge.clear()
        world.notes.clear()
        with environment.auto_time_skipping_disabled():
            walk: WorkflowHandle[Promotion, PromotionState] = await promote(environment, 3)
            await proposed(world)
            back = Order(id="o1", kind="rollback", actor=ALICE, revision=1)
            await order(environment, DEVELOPMENT, back)
            while not world.withdrawn:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            world.merge.set()
            await walk.result()
    assert world.withdrawn == ["towpath/3"]


async def _delivery(environment: WorkflowEnvironment, number: int) -> DeliveryState:
    announced = push(number)
    return await environment.client.execute_workflow(
        Delivery.run,
        announced,
        id=ids.push(announced.repository, announced.ref, announced.after),
        task_queue=ids.CONTROL_QUEUE,
    )


async def test_only_what_the_named_rollout_really_wrote_starts_nothing(serve: Serve) -> None:
    world = GitWorld()
    async with serve(world) as environment:
        world.more.append(Commits(environment.client).own)
    async with serve(world) as environment:
        await deploy(environment, 1)
        rollout = ids.rollout(KEY, DEVELOPMENT, 1)
        cases = {
            5: ({commit(1).id: rollout}, "OwnCommit"),
            6: ({commit(1).id: rollout, commit(6).id: rollout}, "Built"),
            7: ({commit(7).id: "rollout/default/hello/development/99"}, "Built"),
            8: ({commit(8).id: ids.lane(KEY, DEVELOPMENT)}, "Built"),
            9: ({}, "Built"),
        }
        for number, (written, outcome) in cases.items():
            world.written = written
            assert (await _delivery(environment, number)).outcome == outcome, number


def _rebinding(**changed: Any) -> RebindingRequest:
    stated = {"component": KEY, "environment": DEVELOPMENT, "binding": "hello-development", "uid": "u"}
    return RebindingRequest.model_validate(
        {**stated, "generation": 2, "release": "hello-1", "manager": "kubectl-edit", **changed}
    )


async def _rebind(serve: Serve, *looks: RebindingLook, **changed: Any) -> tuple[RebindingState, GitWorld]:
    world = GitWorld(looks=list(looks))
    async with serve(world) as environment:
        asked = _rebinding(**changed)
        workflow = ids.rebinding(KEY, DEVELOPMENT, "u", "2")
        ended = await environment.client.execute_workflow(
            Rebinding.run, asked, id=workflow, task_queue=ids.CONTROL_QUEUE
        )
    return ended, world


def _seen(there: Release | None = None, **changed: Any) -> RebindingLook:
    return RebindingLook.model_validate({"release": there, **changed})


async def test_an_edited_binding_is_promoted_and_told_so(serve: Serve) -> None:
    ended, world = await _rebind(serve, _seen(release(1)))
    assert ended.outcome == "Promoted"
    assert [(told.status, told.event) for told in world.told] == [("Unknown", "Normal"), ("True", "Normal")]
    assert world.said() == "hello-1"


async def test_a_binding_that_says_what_runs_starts_nothing(serve: Serve) -> None:
    ended, world = await _rebind(serve, _seen(release(1), runs=True, running="hello-1"))
    assert (ended.outcome, [told.event for told in world.told]) == ("Agrees", [""])
    assert world.commits == []


async def test_a_binding_to_a_release_that_is_not_there_gets_a_warning(serve: Serve) -> None:
    ended, world = await _rebind(serve, _seen(running="hello-9"), release="nonsense")
    assert ended.outcome == "ReleaseNotFound"
    assert [(told.status, told.event) for told in world.told] == [("False", "Warning")]
    assert "keeps hello-9" in ended.message


async def test_a_binding_that_was_not_followed_says_why(serve: Serve) -> None:
    world = GitWorld(looks=[_seen(release(1))], verdicts={(DEVELOPMENT, 1): CRASHING})
    async with serve(world) as environment:
        ended = await environment.client.execute_workflow(
            Rebinding.run, _rebinding(), id="binding/x", task_queue=ids.CONTROL_QUEUE
        )
    assert ended.outcome == "CrashLoopBackOff"
    assert "keeps nothing, not hello-1" in world.told[-1].message
    assert world.told[-1].event == "Warning"


async def test_automation_does_not_undo_a_persons_rollback_through_a_binding(serve: Serve) -> None:
    against = _seen(release(1), reason="RolledBackByPerson", message="went back")
    ended, world = await _rebind(serve, against, manager="kustomize-controller")
    assert (ended.outcome, world.commits) == ("RolledBackByPerson", [])


async def test_a_deleted_binding_starts_nothing_and_is_told_on_the_component(serve: Serve) -> None:
    ended, world = await _rebind(serve, _seen(), deleted=True)
    assert ended.outcome == "BindingDeleted"
    assert [note.reason for note in world.notes] == ["BindingDeleted"]
    assert world.commits == []


def test_who_asks_is_a_person_or_automation() -> None:
    assert _rebinding().actor == Actor(kind="person", name="kubectl-edit (ReleaseBinding)")
    assert _rebinding(manager="kustomize-controller").actor.kind == "automation"
