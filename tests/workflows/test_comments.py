"""Comments and deleted branches over a scripted world, in skipped time. What is said to workflows goes there as it
is: who may say what by which proof is tested on real servers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from activities.ledgers import Ledgers, RecordingRequest
from model import ids
from model.actor import Actor
from model.build import BuildRequest
from model.command import parse
from model.comment import Comment
from model.comment_story import CommandResult, Commenter, CommentState, Concerned, Reply, Surroundings, Word
from model.deletion import DeletionState, Remains, StandingPreview
from model.failure import InfrastructureFailure, UserFailure
from model.lane import Answer
from model.ledger import Handling, Recording
from model.preview import PreviewOrder, PreviewState
from model.ref_deleted import RefDeleted
from model.request_report import Reported
from tests.workflows.conftest import Serve
from tests.workflows.test_previews import PreviewWorld, announce, phase, preview, ready, request, seen
from tests.workflows.world import COMPONENT, KEY, commit
from workflows.build import Build
from workflows.comment_delivery import CommentDelivery
from workflows.deletion import Deletion
from workflows.preview import Preview

STEP = timedelta(seconds=2)
REPOSITORY = "git.test/hello"
WRITER = Commenter(actor=Actor(kind="person", name="git:ann"), steers=True)
STRANGER = Commenter(actor=Actor(kind="person", name="git:mallory"))
MANAGER = Commenter(actor=Actor(kind="person", name="git:rita", roles=("release-manager",)), steers=True)


@dataclass
class CommentWorld(PreviewWorld):
    """A world in which people talk. `person` is who writes, `waits` how often no preview is seen at first."""

    person: Commenter = WRITER
    concerned: tuple[Concerned, ...] = (Concerned(component=KEY, project="default", preview=True),)
    look_failures: list[Exception] = field(default_factory=list)
    unseen: int = 0
    asked_about: int = 0
    acted: list[Word] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    reply_failures: list[Exception] = field(default_factory=list)
    remains: Remains = field(default_factory=Remains)

    def all(self) -> list[Callable[..., Any]]:
        return [*super().all(), self.look, self.act, self.reply, self.look_remains]

    @activity.defn(name="comments.look")
    async def look(self, _comment: Comment) -> Surroundings:
        self.asked_about += 1
        if self.look_failures:
            raise self.look_failures.pop(0)
        hidden = self.asked_about <= self.unseen
        concerned = tuple(
            each.model_copy(update={"preview": each.preview and not hidden}) for each in self.concerned
        )
        return Surroundings(people={"default": self.person}, concerned=concerned)

    @activity.defn(name="comments.act")
    async def act(self, word: Word) -> CommandResult:
        self.acted.append(word)
        kinds = {"ok-to-test": "allow", "test": "retry", "retest": "retry", "cancel": "stop"}
        assert self.client is not None
        order = PreviewOrder.model_validate(
            {
                "id": word.id,
                "kind": kinds[word.command.verb],
                "actor": word.actor,
                "commit": word.command.argument,
                "only_failed": word.command.verb == "retest",
            }
        )
        handle = self.client.get_workflow_handle_for(Preview.run, ids.preview(word.concerned.component, "7"))
        try:
            answer: Answer = await handle.execute_update(Preview.order, order, id=order.id)
        except WorkflowUpdateFailedError as error:
            reason = str(getattr(error.cause, "type", ""))
            answer = Answer(accepted=False, reason=reason, message=str(error.cause))
        return CommandResult(
            command=word.command.text,
            component=word.concerned.component.name,
            accepted=answer.accepted,
            reason=answer.reason,
            message=answer.message,
        )

    @activity.defn(name="comments.reply")
    async def reply(self, reply: Reply) -> Reported:
        if self.reply_failures:
            raise self.reply_failures.pop(0)
        self.replies.append(reply)
        return Reported(comment=5)

    @activity.defn(name="deletions.look")
    async def look_remains(self, _event: RefDeleted) -> Remains:
        return self.remains


@pytest.fixture
def world(temporal: WorkflowEnvironment) -> CommentWorld:
    return CommentWorld(client=temporal.client)


async def comment(
    environment: WorkflowEnvironment, body: str, number: int = 1, who: str = "ann", skip: bool = False
) -> CommentState:
    """As the server does for a webhook. Waiting for the end would skip time, so that is looked for."""
    said = Comment(
        provider="git",
        repository=REPOSITORY,
        url="http://git.test/hello.git",
        change="7",
        comment=str(number),
        body=body,
        actor=Actor(kind="person", name=who),
    )
    handle = await environment.client.start_workflow(
        CommentDelivery.run,
        said,
        id=ids.comment(said.repository, said.change, said.comment),
        task_queue=ids.CONTROL_QUEUE,
    )
    while (state := await handle.query(CommentDelivery.state)).outcome == "Accepted":
        await environment.sleep(STEP) if skip else await asyncio.sleep(0.1)
    return state


async def test_a_word_from_whoever_may_lets_exactly_this_commit_in(serve: Serve, world: CommentWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1, fork=True, provider="github", author="mallory"))
        await phase(environment, "awaiting")
        world.person = STRANGER
        refused = await comment(environment, f"/ok-to-test {commit(1).id}", 1, "mallory")
        assert (world.acted, world.built) == ([], [])
        world.person = WRITER
        other = await comment(environment, f"/ok-to-test {commit(2).id}", 2)
        assert world.built == []
        allowed = await comment(environment, f"Fine.\n\n/ok-to-test {commit(1).id}", 3)
        await ready(environment, 1)
    assert [state.outcome for state in (refused, other, allowed)] == ["Refused", "Refused", "Done"]
    assert [state.results[0].reason for state in (refused, other, allowed)] == [
        "NotAllowed",
        "OtherCommit",
        "Allowed",
    ]
    assert [build.untrusted for build in world.built] == [True]
    assert [reply.comment.comment for reply in world.replies] == ["1", "2", "3"]
    assert "✓" in world.replies[2].body


async def test_several_commands_are_carried_out_in_order_and_answered_at_once(
    serve: Serve, world: CommentWorld
) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        state = await comment(environment, "/retest\n/test hello\n/test other\n/lgtm\n/promote production")
        await ready(environment, 1)
    assert [(result.command, result.reason) for result in state.results] == [
        ("/retest", "NothingFailed"),
        ("/test hello", "Retrying"),
        ("/test other", "NoPreview"),
        ("/promote production", "RoleMissing"),
    ]
    assert (state.outcome, state.answered, len(world.replies)) == ("Done", "5", 1)
    assert "/lgtm" in world.replies[0].body


async def test_who_talks_about_something_else_is_left_alone(serve: Serve, world: CommentWorld) -> None:
    async with serve(world) as environment:
        quiet = [
            await comment(environment, "Looks good to me.\n> /test", 1),
            await comment(environment, "/lgtm", 2),
            await comment(environment, "/test", 3, "renovate[bot]"),
            await comment(environment, "<!-- towpath/preview default/hello -->\n/test", 4),
        ]
    assert [state.outcome for state in quiet] == ["NoCommand", "NoCommand", "Bot", "NoCommand"]
    assert (world.asked_about, world.acted, world.replies) == (0, [], [])


async def test_a_comment_that_comes_with_its_request_waits_for_the_preview(
    serve: Serve, world: CommentWorld
) -> None:
    world.unseen = 2
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        state = await comment(environment, "/test", skip=True)
    assert (state.outcome, world.asked_about) == ("Done", 3)


async def test_while_nobody_can_say_who_writes_nothing_is_done(serve: Serve, world: CommentWorld) -> None:
    world.look_failures = [UserFailure("TokenRefused", "GitHub answered 401.")]
    world.reply_failures = [InfrastructureFailure("ProviderUnavailable", "away")]
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        unknown = await comment(environment, "/test", 1)
        assert (unknown.outcome, world.acted) == ("TokenRefused", [])
        # An answer that comes late is an answer.
        done = await comment(environment, "/test", 2, skip=True)
        await ready(environment, 1)
    assert (done.outcome, done.answered) == ("Done", "5")


def gone(ref: str = "refs/heads/feature") -> RefDeleted:
    return RefDeleted(
        repository=REPOSITORY, url="http://git.test/hello.git", ref=ref, before=commit(1).id, sequence=9
    )


async def delete(environment: WorkflowEnvironment, event: RefDeleted) -> DeletionState:
    handle = await environment.client.start_workflow(
        Deletion.run,
        event,
        id=ids.deleted(event.repository, event.ref, event.before, ""),
        task_queue=ids.CONTROL_QUEUE,
    )
    while (state := await handle.query(Deletion.state)).outcome == "Accepted":  # noqa: ASYNC110  (asked)
        await asyncio.sleep(0.1)
    return state


@pytest.mark.parametrize("back", [False, True])
async def test_a_deleted_branch_ends_its_preview_unless_it_is_there_again(
    serve: Serve, world: CommentWorld, back: bool
) -> None:
    async with serve(world) as environment:
        ledgers = Ledgers(environment.client)
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        handled = Handling(ref="refs/heads/feature", commit=commit(1).id)
        await ledgers.record(RecordingRequest(repository=REPOSITORY, recording=Recording(handlings=(handled,))))
        standing = StandingPreview(component=KEY, change="7", at=1)
        world.remains = Remains(built=True, back=back, previews=() if back else (standing,))
        ended = await delete(environment, gone())
        if not back:
            await phase(environment, "closed")
        state: PreviewState = await preview(environment).query(Preview.state)
        known = (await ledgers.all(REPOSITORY)).refs
    if back:
        assert (ended.outcome, state.phase, list(known)) == ("BackAgain", "ready", ["refs/heads/feature"])
        return
    assert (ended.outcome, ended.previews, ended.forgotten) == ("Cleared", ["preview/default/hello/7"], True)
    assert (world.running, known) == ({}, {})
    assert state.ending is not None
    assert "deleted" in state.ending.reason


async def test_builds_of_a_deleted_branch_are_stopped(serve: Serve, world: CommentWorld) -> None:
    world.build_gates[1] = asyncio.Event()
    build = ids.build(KEY, commit(1).id, 1)
    async with serve(world) as environment:
        asked = BuildRequest(component=COMPONENT, commit=commit(1), branch="feature", sequence=1)
        await environment.client.start_workflow(Build.run, asked, id=build, task_queue=ids.CONTROL_QUEUE)
        await seen(lambda: world.submitted)
        world.remains = Remains(built=True, builds=(build,))
        ended = await delete(environment, gone())
        await seen(lambda: world.stopped)
    assert (ended.outcome, ended.builds) == ("Cleared", [build])


def test_what_the_tests_above_write_are_commands() -> None:
    assert [each.verb for each in parse("/retest\n/test hello").wanted] == ["retest", "test"]
