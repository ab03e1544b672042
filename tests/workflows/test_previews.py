"""Previews over a scripted world, in skipped time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.preview_plans import PlanRequest
from activities.previews import Ahead, PlaceRequest, Previews
from model import ids, names, preview_rules
from model.actor import Actor
from model.adoption import Adopted, AdoptionQuestion
from model.build import BuildRequest, BuildResult, SubmittedBuild
from model.change_request import ChangeRequest
from model.change_story import ChangeState
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.hosting import Permission
from model.lane import Answer
from model.pipeline import EnvironmentStep
from model.preview import Candidates, PreviewEvent, PreviewOrder, PreviewPlan, PreviewRules, PreviewState, Unwanted
from model.request_report import Report, Reported
from model.rollout import Target
from model.source import SourceLocation
from model.teardown import OpenRuns, TeardownRequest
from model.trust import TrustRules, judge
from model.trust_question import TrustAnswer, TrustQuestion
from tests.workflows.conftest import Serve
from tests.workflows.world import COMPONENT, CRASHING, KEY, World, commit
from workflows.change_delivery import ChangeDelivery
from workflows.preview import Preview
from workflows.teardown import Teardown

ANN = Actor(kind="person", name="ann", roles=("developer",))
PLACE = "preview-7"
HOUR = timedelta(hours=1)


@dataclass
class PreviewWorld(World):
    """A world in which requests are announced. `ahead` says how many previews go before any that asks."""

    client: Client | None = None
    rules: PreviewRules = field(default_factory=lambda: PreviewRules(enabled=True))
    unwanted: tuple[Unwanted, ...] = ()
    ahead: int = 0
    reports: list[Report] = field(default_factory=list)
    report_failures: list[Exception] = field(default_factory=list)
    plan_failures: list[Exception] = field(default_factory=list)
    remove_failures: list[Exception] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    trust: TrustRules = field(default_factory=TrustRules)
    permissions: dict[str, Permission] = field(default_factory=dict)
    trust_failures: list[Exception] = field(default_factory=list)
    adopted: dict[str, Adopted] = field(default_factory=dict)
    built: list[BuildRequest] = field(default_factory=list)
    plans: list[PlanRequest] = field(default_factory=list)

    def all(self) -> list[Callable[..., Any]]:
        assert self.client is not None
        own: list[Callable[..., Any]] = [
            self.candidates,
            self.plan,
            self.count,
            self.address,
            self.remove_preview,
            self.report,
            self.judge,
            self.adopt,
        ]
        return [*super().all(), *own, Previews(self.client).tell]

    @activity.defn(name="previews.candidates")
    async def candidates(self, _change: ChangeRequest) -> Candidates:
        out = {each.component for each in self.unwanted}
        wanted = tuple(component for component in self.components if component.key not in out)
        return Candidates(wanted=wanted, unwanted=self.unwanted)

    @activity.defn(name="previews.plan")
    async def plan(self, request: PlanRequest) -> PreviewPlan | None:
        if self.plan_failures:
            raise self.plan_failures.pop(0)
        if not self.components:
            return None
        self.plans.append(request)
        first = EnvironmentStep(environment="development")
        step = preview_rules.step(first, request.change, request.untrusted)
        return PreviewPlan(component=self.components[0], step=step, rules=self.rules)

    @activity.defn(name="previews.ahead")
    async def count(self, _request: PlaceRequest) -> Ahead:
        return Ahead(number=self.ahead)

    @activity.defn(name="preview.address")
    async def address(self, target: Target) -> str:
        return f"http://{target.namespace}/"

    @activity.defn(name="preview.remove")
    async def remove_preview(self, target: Target) -> None:
        if self.remove_failures:
            raise self.remove_failures.pop()
        self.running.pop(target.step.environment, None)
        self.removed.append(target.namespace)

    @activity.defn(name="requests.report")
    async def report(self, report: Report) -> Reported:
        if self.report_failures:
            raise self.report_failures.pop(0)
        self.reports.append(report)
        return Reported(comment=report.comment or 41)

    @activity.defn(name="trusting.judge")
    async def judge(self, question: TrustQuestion) -> TrustAnswer:
        if self.trust_failures:
            raise self.trust_failures.pop(0)
        permission = self.permissions.get(question.change.author)
        trust = judge(question.change, self.trust, permission)
        return TrustAnswer(by_namespace=dict.fromkeys(question.namespaces, trust))

    @activity.defn(name="adoption.find")
    async def adopt(self, question: AdoptionQuestion) -> Adopted:
        return self.adopted.get(question.commit, Adopted())

    @activity.defn(name="builds.submit")
    async def submit(self, request: BuildRequest) -> SubmittedBuild:
        self.built.append(request)
        return await super().submit(request)

    def shown(self) -> int:
        """The number of the commit that runs; 0 for nothing."""
        release = self.running.get(PLACE)
        return int(release.commit.id, 16) if release else 0

    def reasons(self) -> list[str]:
        return [note.reason for note in self.notes]


@pytest.fixture
def world(temporal: WorkflowEnvironment) -> PreviewWorld:
    return PreviewWorld(client=temporal.client)


def request(action: str, number: int, **changed: object) -> ChangeRequest:
    """An event of request 7, whose branch's head is the n-th commit."""
    return ChangeRequest.model_validate(
        {
            "action": action,
            "repository": "git.test/hello",
            "url": "http://git.test/hello.git",
            "change": "7",
            "branch": "feature",
            "base": "main",
            "head": commit(number).id,
            "delivery": f"{action}-{number}",
            "order": number,
            "sequence": number,
            **changed,
        }
    )


async def announce(environment: WorkflowEnvironment, change: ChangeRequest) -> ChangeState:
    """As the server does for a webhook. Waiting for the end would skip time, so that is looked for."""
    handle = await environment.client.start_workflow(
        ChangeDelivery.run,
        change,
        id=ids.change(change.repository, change.change, change.delivery),
        task_queue=ids.CONTROL_QUEUE,
    )
    while (state := await handle.query(ChangeDelivery.state)).outcome == "Accepted":  # noqa: ASYNC110  (asked)
        await asyncio.sleep(0.1)
    return state


async def seen(holds: Callable[[], object]) -> None:
    """Wait until something holds of the world."""
    while not holds():  # noqa: ASYNC110  (what changes are plain lists)
        await asyncio.sleep(0.05)


def preview(environment: WorkflowEnvironment) -> WorkflowHandle[Preview, PreviewState]:
    return environment.client.get_workflow_handle_for(Preview.run, ids.preview(KEY, "7"))


async def until(
    environment: WorkflowEnvironment, holds: Callable[[PreviewState], bool], skip: timedelta | None = None
) -> PreviewState:
    """Wait until something holds of the preview, skipping time in steps where it takes some."""
    while True:
        # The test server leaves a question without an answer that crosses with a continue-as-new.
        with suppress(RPCError):
            state = await preview(environment).query(Preview.state, rpc_timeout=timedelta(seconds=5))
            if holds(state):
                return state
        await (environment.sleep(skip) if skip else asyncio.sleep(0.2))


async def phase(environment: WorkflowEnvironment, *wanted: str, skip: timedelta | None = None) -> PreviewState:
    return await until(environment, lambda state: state.phase in wanted, skip)


async def ready(environment: WorkflowEnvironment, number: int) -> PreviewState:
    return await until(environment, lambda state: state.phase == "ready" and state.shown == commit(number).id)


async def over(environment: WorkflowEnvironment) -> PreviewState:
    """Skip time until the preview has ended; what it came to."""
    while (await preview(environment).describe()).status == WorkflowExecutionStatus.RUNNING:
        await environment.sleep(timedelta(minutes=20))
    return await preview(environment).query(Preview.state)


async def order(environment: WorkflowEnvironment, kind: str, **more: object) -> Answer:
    said = PreviewOrder.model_validate({"id": kind, "kind": kind, "actor": ANN, **more})
    return await preview(environment).execute_update(Preview.order, said, id=said.id)


async def test_an_opened_request_is_shown_in_a_namespace_of_its_own(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1, title="Add a thing"))
        state = await ready(environment, 1)
    assert (told.outcome, told.previews) == ("Told", ["preview/default/hello/7"])
    assert state.namespace == names.preview_namespace("default", "default", "hello", "7")
    assert state.address == f"http://{state.namespace}/"
    assert world.applied == [(PLACE, state.release.name)] if state.release else False
    assert (world.releases, world.notes[-1].reason) == ([], "PreviewReady")
    assert all(note.aside for note in world.notes), "the component's own status speaks of its own branch"


async def test_the_request_is_told_how_it_goes_in_one_comment(serve: Serve, world: PreviewWorld) -> None:
    world.verdicts[(PLACE, 2)] = CRASHING
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        first = await ready(environment, 1)
        await announce(environment, request("update", 2))
        await phase(environment, "failed")
        await announce(environment, request("close", 3))
        await phase(environment, "closed")
        await seen(lambda: world.reports and world.reports[-1].state == "closed")
    states = [report.state for report in world.reports]
    assert states[0] == "pending"
    assert [state for state in states if state != "pending"] == ["success", "failure", "closed"]
    success = next(report for report in world.reports if report.state == "success")
    assert (success.commit, success.address) == (commit(1).id, first.address)
    assert world.reports[0].comment == 0
    assert {report.comment for report in world.reports[1:]} == {41}


async def test_a_provider_that_cannot_be_told_does_not_fail_the_preview(serve: Serve, world: PreviewWorld) -> None:
    world.report_failures = [UserFailure("TokenRefused", "GitHub answered 401.")] * 10
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await seen(lambda: "RequestNotTold" in world.reasons())
    assert world.shown() == 1


async def test_closing_takes_everything_away(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        opened = await ready(environment, 1)
        await announce(environment, request("close", 2))
        closed = await phase(environment, "closed")
        assert (world.running, world.removed) == ({}, [opened.namespace])
        ended = await over(environment)
    assert closed.ending is not None
    assert (closed.ending.by, ended.phase) == ("request", "closed")


async def test_closing_while_it_builds_stops_the_build_and_deploys_nothing(
    serve: Serve, world: PreviewWorld
) -> None:
    world.build_gates[1] = asyncio.Event()
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await seen(lambda: world.submitted)
        await announce(environment, request("close", 2))
        await phase(environment, "closed")
    assert len(world.stopped) == 1
    assert world.applied == []


async def test_closing_while_it_deploys_removes_what_was_applied(serve: Serve, world: PreviewWorld) -> None:
    world.apply_gate = asyncio.Event()
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await seen(lambda: world.applied)
        await announce(environment, request("close", 2))
        await phase(environment, "closed")
    assert world.running == {}
    assert world.reports[-1].state == "failure", "a status must not say pending for ever"


@pytest.mark.parametrize("cached", [100, 0])
async def test_a_newer_head_goes_before_one_that_builds_or_deploys(
    serve: Serve, world: PreviewWorld, cached: int
) -> None:
    """Also where every step replays what went before: a worker that was restarted knows as much."""
    world.build_gates[1] = asyncio.Event()
    async with serve(world, max_cached_workflows=cached) as environment:
        await announce(environment, request("open", 1))
        await seen(lambda: world.submitted)
        world.apply_gate = asyncio.Event()
        await announce(environment, request("update", 2))
        await seen(lambda: world.applied)
        await announce(environment, request("update", 3))
        world.apply_gate.set()
        await ready(environment, 3)
    assert world.shown() == 3
    assert commit(1).id not in {release.commit.id for release in world.running.values()}
    assert world.most_at_once == 1


async def test_an_older_head_never_wins(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 5))
        await ready(environment, 5)
        await announce(environment, request("update", 4))
        await announce(environment, request("close", 3))
        await announce(environment, request("open", 5, delivery="again", order=6))
        state = await ready(environment, 5)
    assert (state.builds, world.removed) == (1, [])


async def test_an_event_that_comes_after_the_end_does_not_bring_it_back(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await announce(environment, request("close", 4))
        await phase(environment, "closed")
        await announce(environment, request("update", 2))
        await announce(environment, request("update", 5))
        await environment.sleep(timedelta(minutes=10))
        assert (await phase(environment, "closed")).shown == commit(1).id
        await announce(environment, request("open", 6))
        await ready(environment, 6)


async def test_time_ends_it_counted_from_the_last_push(serve: Serve, world: PreviewWorld) -> None:
    world.rules = PreviewRules(enabled=True, ttl_seconds=8 * 3600)
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await environment.sleep(6 * HOUR)
        await announce(environment, request("update", 2))
        await ready(environment, 2)
        await environment.sleep(6 * HOUR)
        assert (await preview(environment).query(Preview.state)).phase == "ready"
        await environment.sleep(3 * HOUR)
        state = await phase(environment, "closed")
        assert state.ending is not None
        assert (state.ending.by, world.running) == ("time", {})


async def test_a_push_brings_back_what_time_has_ended(serve: Serve, world: PreviewWorld) -> None:
    world.rules = PreviewRules(enabled=True, ttl_seconds=3600)
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await environment.sleep(timedelta(minutes=70))
        await phase(environment, "closed")
        await announce(environment, request("update", 2))
        await ready(environment, 2)
    assert world.shown() == 2


async def test_a_person_extends_it_and_closes_it_for_good(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        assert (await order(environment, "extend", seconds=10 * 86_400)).reason == "Extended"
        assert (await order(environment, "extend", seconds=10 * 86_400)).reason == "Extended", "one update id"
        await environment.sleep(9 * 24 * HOUR)
        assert (await preview(environment).query(Preview.state)).phase == "ready"
        assert (await order(environment, "close", reason="seen enough")).reason == "Closing"
        await phase(environment, "closed")
        await announce(environment, request("update", 2))
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await order(environment, "close", id="another")
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "PreviewEnded"
        assert (await preview(environment).query(Preview.state)).phase == "closed"


async def test_a_deleted_component_takes_its_previews_with_it(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        world.components.clear()
        world.open = [OpenRuns(previews=("preview/default/hello/7",))]
        await environment.client.execute_workflow(
            Teardown.run,
            TeardownRequest(component=COMPONENT),
            id=ids.teardown(KEY, "u1"),
            task_queue=ids.CONTROL_QUEUE,
        )
        ended = await over(environment)
    assert ended.ending is not None
    assert (ended.ending.by, world.running) == ("component", {})


async def test_a_request_for_a_component_that_is_gone_leaves_nothing(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        world.components = [COMPONENT]
        event = PreviewEvent(
            id="e", action="open", component=KEY, repository="r", change="7", commit=commit(1), at=1, sequence=1
        )
        world.components = []
        await Previews(environment.client).tell(event)
        ended = await over(environment)
    assert (ended.phase, world.submitted, world.applied) == ("closed", [], [])


async def test_more_than_the_limit_wait_until_one_ends(serve: Serve, world: PreviewWorld) -> None:
    world.rules = PreviewRules(enabled=True, limit=2)
    world.ahead = 2
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        waiting = await until(environment, lambda state: state.reason == "NoPlace")
        assert (waiting.phase, world.submitted) == ("waiting", [])
        world.ahead = 1
        await preview(environment).signal(Preview.nudge)
        await ready(environment, 1)


async def test_who_waits_for_a_place_looks_by_itself(serve: Serve, world: PreviewWorld) -> None:
    world.ahead = 10
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await until(environment, lambda state: state.reason == "NoPlace")
        world.ahead = 0
        await phase(environment, "ready", skip=timedelta(minutes=1))


async def test_a_build_that_fails_is_told_and_the_next_push_is_shown(serve: Serve, world: PreviewWorld) -> None:
    world.builds[1] = [BuildResult(phase="failed", reason="BuildFailed", message="npm ci", failure="user")]
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        failed = await phase(environment, "failed")
        assert (failed.reason, failed.message) == ("BuildFailed", "npm ci")
        await announce(environment, request("update", 2))
        await ready(environment, 2)


async def test_a_person_may_have_the_same_commit_tried_again(serve: Serve, world: PreviewWorld) -> None:
    world.builds[1] = [BuildResult(phase="failed", reason="BuildFailed", message="npm ci", failure="user")]
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await phase(environment, "failed")
        again = request("open", 1, delivery="by-hand", order=2, again=True, components=(KEY,), actor=ANN)
        await announce(environment, again)
        state = await ready(environment, 1)
    assert state.builds == 2


async def test_the_present_head_is_shown_where_the_announced_one_was_overtaken(
    serve: Serve, world: PreviewWorld
) -> None:
    world.head = 3
    async with serve(world) as environment:
        told = await announce(environment, request("open", 2))
        await ready(environment, 3)
    assert told.commit == commit(3).id


async def test_a_request_that_touches_nothing_of_a_component_is_not_shown(
    serve: Serve, world: PreviewWorld
) -> None:
    world.components = [
        COMPONENT.model_copy(update={"source": SourceLocation(url="http://git.test/hello.git", app_path="web")})
    ]
    world.paths = ("docs/readme.md",)
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1))
    assert (told.outcome, world.submitted) == ("NothingTouched", [])


async def test_a_request_to_another_branch_ends_the_preview(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        world.unwanted = (Unwanted(component=KEY, reason="OtherBase", message="It goes to release-2 now."),)
        told = await announce(environment, request("update", 2, base="release-2"))
        state = await phase(environment, "closed")
    assert told.outcome == "NobodyPreviews"
    assert state.ending is not None
    assert state.ending.reason == "It goes to release-2 now."


async def test_a_branch_that_cannot_be_read_is_told(serve: Serve, world: PreviewWorld) -> None:
    world.changes_failures = [NotFound("RefNotFound", "refs/heads/feature is gone.")]
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1))
    assert told.outcome == "RefNotFound"
    assert "RefNotFound" in world.reasons()


async def test_annotations_that_cannot_be_read_are_told_and_end_nothing(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        message = "metadata.annotations.towpath.dev/previews: write"
        world.unwanted = (Unwanted(component=KEY, reason="InvalidManifest", message=message, unclear=True),)
        told = await announce(environment, request("update", 2))
        await seen(lambda: "InvalidManifest" in world.reasons())
        state = await phase(environment, "ready")
    assert (told.outcome, told.message) == ("NobodyPreviews", message)
    assert state.shown == commit(1).id


async def test_annotations_that_cannot_be_read_fail_the_preview_with_their_name(
    serve: Serve, world: PreviewWorld
) -> None:
    world.plan_failures = [UserFailure("InvalidManifest", "metadata.annotations.towpath.dev/preview-ttl: from 1m")]
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        state = await phase(environment, "failed")
    assert "preview-ttl" in state.message


async def test_a_data_plane_that_is_away_is_waited_for_at_the_end(serve: Serve, world: PreviewWorld) -> None:
    world.remove_failures = [InfrastructureFailure("ApiServerUnavailable", "away")] * 3
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await announce(environment, request("close", 2))
        await phase(environment, "closed", skip=timedelta(seconds=5))
    assert (world.remove_failures, world.running) == ([], {})


async def test_cancelling_its_workflow_takes_everything_away(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await preview(environment).cancel()
        await seen(lambda: not world.running)
    assert len(world.removed) == 1


async def test_a_long_history_is_begun_anew_and_nothing_is_forgotten(
    serve: Serve, world: PreviewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        workflow.Info, "is_continue_as_new_suggested", lambda info: info.get_current_history_length() > 40
    )
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        first = (await preview(environment).describe()).run_id
        for number in (2, 3):
            await announce(environment, request("update", number))
            state = await ready(environment, number)
        await seen(lambda: world.reports and world.reports[-1].commit == commit(3).id)
        later = (await preview(environment).describe()).run_id
        assert (later != first, state.builds, state.revision) == (True, 3, 3)
        await announce(environment, request("update", 1, delivery="late"))
        await announce(environment, request("close", 4))
        await phase(environment, "closed")
    assert world.running == {}
    assert {report.comment for report in world.reports[1:]} == {41}
