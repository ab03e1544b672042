"""What a commit's readers at its provider see, while the provider comes and goes."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.statuses import CommitStatuses, StatusSaying
from model import ids
from model.build import BuildResult
from model.failure import Failure, InfrastructureFailure, UserFailure
from model.hosting import StatusState
from model.release import Release
from model.status_note import StatusNote
from model.statuses import Remote, StatusesState
from model.told import Told
from model.vigil import Alarm
from tests.workflows.conftest import Serve
from tests.workflows.test_story import deliver
from tests.workflows.world import COMPONENT, CRASHING, KEY, World, commit
from workflows.statuses import Statuses

TOLD = Told(repository="git.test/hello", namespace="default", name="hello")
TOLD_COMPONENT = COMPONENT.model_copy(update={"told": TOLD})
COMMIT = commit(1).id


@dataclass
class Hosted(World):
    """A world whose provider keeps what it is told. `troubles` are raised one after the other; while `away` is set
    nobody answers. `lost` is how many of the next answers do not arrive, though what was said has."""

    client: Client | None = None
    said: list[StatusNote] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)
    troubles: list[Failure] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    away: bool = False
    lost: int = 0

    def all(self) -> list[Callable[..., Any]]:
        assert self.client is not None
        # Neither the cluster nor a provider is asked when a note is handed over.
        tell = CommitStatuses(self.client, None, None).tell  # type: ignore[arg-type]
        return [*super().all(), self.say, tell]

    @activity.defn(name="statuses.say")
    async def say(self, saying: StatusSaying) -> Remote:
        self.tried.append(activity.info().current_attempt_scheduled_time.timestamp())
        if self.away:
            raise InfrastructureFailure("ProviderUnavailable", "connection refused")
        if self.troubles:
            raise self.troubles.pop(0)
        if saying.note.context in self.refused:
            raise UserFailure("TokenRefused", "The token in Secret default/github needs more.")
        self.said.append(saying.note)
        if self.lost:
            self.lost -= 1
            raise ConnectionResetError("the worker died before anybody knew")
        return Remote(status=f"id of {saying.note.context}")

    def shown(self) -> dict[str, str]:
        """What a reader sees: the last state of each context."""
        return {note.context: note.state for note in self.said}


def hosted(temporal: WorkflowEnvironment, **changed: Any) -> Hosted:
    return Hosted(client=temporal.client, components=[TOLD_COMPONENT], **changed)


def note(context: str, order: int, state: StatusState = "pending") -> StatusNote:
    return StatusNote(told=TOLD, commit=COMMIT, context=context, state=state, title=f"note {order}", order=order)


def handle(environment: WorkflowEnvironment, number: int = 1) -> WorkflowHandle[Statuses, StatusesState]:
    name = ids.statuses(TOLD.repository, commit(number).id)
    return environment.client.get_workflow_handle_for(Statuses.run, name)


async def begin(environment: WorkflowEnvironment, *notes: StatusNote) -> WorkflowHandle[Statuses, StatusesState]:
    teller = CommitStatuses(environment.client, None, None)  # type: ignore[arg-type]
    for each in notes:
        await teller.tell(each)
    return handle(environment)


async def until(there: Callable[[], bool]) -> None:
    while True:
        if there():
            return
        await asyncio.sleep(0.02)


async def skip(environment: WorkflowEnvironment, minutes: int) -> None:
    """Let time pass in small steps: a busy machine may not do an hour's work before a call is given up."""
    for _ in range(minutes):
        await environment.sleep(timedelta(minutes=1))


async def told_everything(found: WorkflowHandle[Statuses, StatusesState]) -> StatusesState:
    while True:
        state = await found.query(Statuses.state)
        if not state.waiting:
            return state
        await asyncio.sleep(0.02)


async def test_a_push_is_seen_on_its_commit_from_build_to_the_gate(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal)
    async with serve(world) as environment:
        await deliver(environment, 1)
        expected = {f"towpath/hello/{what}": "success" for what in ("build", "development", "staging")}
        await until(lambda: world.shown() == expected)
        orders = [each.order for each in world.said]
        assert orders == sorted(orders)
        staging = next(each for each in world.said if each.context == "towpath/hello/staging")
        assert (staging.environment, staging.deployment) == ("hello/staging", "rollout/default/hello/staging/1")
        assert {each.commit for each in world.said} == {COMMIT}


async def test_a_failed_build_shows_why_with_the_end_of_its_log(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal)
    failed = BuildResult(
        phase="failed", reason="NpmFailed", message="npm ci failed", failure="user", excerpt="npm ERR! 404"
    )
    world.builds[1] = [failed]
    async with serve(world) as environment:
        await deliver(environment, 1)
        await until(lambda: world.shown() == {"towpath/hello/build": "failure"})
        last = world.said[-1]
        assert last.title == "NpmFailed: npm ci failed"
        assert "npm ERR! 404" in last.detail
        assert last.workflow == f"build/default/hello/{COMMIT}/1"
        # And so does the run that the status leads to.
        build = environment.client.get_workflow_handle(last.workflow)
        assert "npm ERR! 404" in str(await build.query("__temporal_workflow_metadata"))


async def test_a_rollback_is_a_failure_on_the_commit_that_did_not_float(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, verdicts={("development", 2): CRASHING})
    async with serve(world) as environment:
        await deliver(environment, 1)
        await until(lambda: world.shown().get("towpath/hello/staging") == "success")
        await deliver(environment, 2)

        def on_second() -> dict[str, str]:
            return {each.context: each.state for each in world.said if each.commit == commit(2).id}

        await until(lambda: on_second().get("towpath/hello/development") == "failure")
        assert "back on" in world.said[-1].title
        assert world.running["development"].commit == commit(1)


async def test_a_source_that_cannot_be_read_is_an_error_on_the_commit(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, changes_failures=[UserFailure("CommitNotFound", "There is no such commit.")])
    async with serve(world) as environment:
        await deliver(environment, 1)
        await until(lambda: world.shown() == {"towpath/hello/build": "error"})
        assert world.said[-1].title == "CommitNotFound: There is no such commit."


async def test_an_alarm_some_time_after_is_a_failure_on_the_commit_that_was_healthy(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal)
    async with serve(world) as environment:
        for number in (1, 2):
            await deliver(environment, number)
            await until(lambda number=number: world.running.get("staging") == release_of(world, number))  # type: ignore[misc]
        alarm = Alarm(id="a", revision=2, verdict=CRASHING)
        await environment.client.get_workflow_handle(ids.lane(KEY, "development")).signal("alarm", alarm)

        def told() -> set[str]:
            return {each.title for each in world.said if each.commit == commit(2).id and each.state == "failure"}

        await until(lambda: any("taken back" in title for title in told()))
        await until(lambda: world.running["development"].commit == commit(1))


def release_of(world: World, number: int) -> Release | None:
    return next((each for each in world.releases if each.commit == commit(number)), None)


async def test_where_no_repository_wants_statuses_nothing_is_started(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = Hosted(client=temporal.client)
    async with serve(world) as environment:
        await deliver(environment, 1)
        await until(lambda: "development" in world.running)
        with pytest.raises(RPCError, match="not found"):
            await handle(environment).describe()
        assert world.tried == []


async def test_a_provider_that_is_away_fails_and_slows_no_pipeline_and_catches_up(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, away=True)
    async with serve(world) as environment:
        await deliver(environment, 1)
        await until(lambda: "staging" in world.running)
        assert world.shown() == {}
        # Long enough for what is told after the last deployment.
        await skip(environment, 60)
        tries = len(world.tried)
        world.away = False
        await skip(environment, 10)
        state = await told_everything(handle(environment))
        # Only the last state of each, once, in the order in which it came about.
        assert [(each.context, each.state) for each in world.said] == [
            ("towpath/hello/build", "success"),
            ("towpath/hello/development", "success"),
            ("towpath/hello/staging", "success"),
        ]
        assert tries < 60, "it is not hammered on while it is away"
        assert (state.trouble, state.given_up, state.sent) == ("", 0, 3)


async def test_a_provider_that_asks_to_wait_is_left_alone_for_so_long(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    limited = InfrastructureFailure("ProviderUnavailable", "429", retry_after=600)
    world = hosted(temporal, troubles=[limited])
    async with serve(world) as environment:
        found = await begin(environment, note("build", 1))
        await until(lambda: len(world.tried) == 1)
        await begin(environment, note("build", 2, "success"), note("staging", 3))
        await skip(environment, 15)
        await told_everything(found)
        assert world.tried[1] - world.tried[0] >= 600
        assert [(each.context, each.order) for each in world.said] == [("build", 2), ("staging", 3)]


async def test_notes_in_any_order_any_number_of_times_end_the_same(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    states: list[StatusState] = ["pending", "failure", "pending", "success"]
    notes = [note(context, order, state) for context in ("a", "b") for order, state in enumerate(states, 1)] * 3
    random.Random(7).shuffle(notes)
    world = hosted(temporal)
    async with serve(world) as environment:
        found = await begin(environment, *notes)
        await told_everything(found)
        assert world.shown() == {"a": "success", "b": "success"}
        for context in ("a", "b"):
            orders = [each.order for each in world.said if each.context == context]
            assert orders == sorted(set(orders))


async def test_a_worker_that_dies_before_it_says_that_it_has_told_tells_again(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, lost=1)
    async with serve(world) as environment:
        found = await begin(environment, note("build", 1, "success"))
        await until(lambda: len(world.said) == 1)
        await skip(environment, 1)
        state = await told_everything(found)
        assert [each.state for each in world.said] == ["success", "success"]
        assert state.remotes["default/hello build"].status == "id of build"


async def test_a_refused_token_holds_up_nothing_else_and_is_tried_again(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, refused={"build"})
    async with serve(world) as environment:
        found = await begin(environment, note("build", 1), note("staging", 2, "success"))
        await until(lambda: world.shown() == {"staging": "success"})
        world.refused.clear()
        await skip(environment, 5)
        await told_everything(found)
        assert world.shown() == {"staging": "success", "build": "pending"}


async def test_what_the_provider_never_takes_is_given_up_and_said(
    serve: Serve, temporal: WorkflowEnvironment
) -> None:
    world = hosted(temporal, troubles=[UserFailure("ProviderInvalid", "no such commit")])
    async with serve(world) as environment:
        found = await begin(environment, note("build", 1))
        state = await told_everything(found)
        assert (state.given_up, world.said) == (1, [])
        assert "no such commit" in state.trouble


async def test_it_ends_when_nothing_is_said_any_more(serve: Serve, temporal: WorkflowEnvironment) -> None:
    world = hosted(temporal)
    async with serve(world) as environment:
        found = await begin(environment, note("build", 1, "success"))
        await told_everything(found)
        await environment.sleep(timedelta(hours=27))
        state = await found.result()
        assert (state.sent, state.waiting) == (1, {})
        # And a new word begins it anew.
        await begin(environment, note("staging", 2, "success"))
        await until(lambda: world.shown() == {"build": "success", "staging": "success"})
