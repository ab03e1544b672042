"""Whose changes are built at once, and what becomes of the others, in skipped time."""

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from model.adoption import Adopted
from model.build import BuildResult
from model.failure import UserFailure
from model.image import Image
from model.release import Release
from model.source import SourceLocation
from model.trust import TrustRules
from model.workload import Workload
from tests.workflows.conftest import Serve
from tests.workflows.test_previews import (
    PLACE,
    PreviewWorld,
    announce,
    order,
    phase,
    preview,
    ready,
    request,
    seen,
    until,
)
from tests.workflows.world import COMPONENT, KEY, commit
from workflows.preview import Preview

FORK = "http://git.test/mallory/hello.git"


@pytest.fixture
def world(temporal: WorkflowEnvironment) -> PreviewWorld:
    source = SourceLocation(url="http://git.test/hello.git", secret="credentials")
    return PreviewWorld(client=temporal.client, components=[COMPONENT.model_copy(update={"source": source})])


async def refused(environment: WorkflowEnvironment, kind: str, **more: object) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await order(environment, kind, **more)
    assert isinstance(caught.value.cause, ApplicationError)
    return str(caught.value.cause.type)


async def test_nothing_of_a_fork_runs_until_somebody_allows_it(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1, fork=True, head_url=FORK, author="mallory"))
        await phase(environment, "awaiting")
        await seen(lambda: world.reports)
    assert told.outcome == "AwaitingOkToTest"
    assert commit(1).id in told.message
    assert (world.submitted, world.applied) == ([], [])
    said = world.reports[-1]
    assert (said.state, said.commit) == ("pending", commit(1).id)
    assert f"/ok-to-test {commit(1).id}" in said.title
    assert "AwaitingOkToTest" in world.reasons()


async def test_exactly_the_allowed_commit_is_built_without_secrets(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        change = request("open", 1, fork=True, head_url=FORK, author="mallory", provider="github")
        await announce(environment, change)
        await phase(environment, "awaiting")
        answer = await order(environment, "allow", commit=commit(1).id)
        await ready(environment, 1)
    assert (answer.accepted, answer.reason) == (True, "Allowed")
    [build] = world.built
    assert build.untrusted
    assert build.component.source is not None
    assert (build.component.source.secret, build.component.source.url) == ("", "http://git.test/hello.git")
    assert (build.ref, build.commit.id) == ("refs/pull/7/head", commit(1).id)
    assert world.plans[-1].untrusted
    assert (world.shown(), world.releases) == (1, [])


async def test_a_push_after_the_word_needs_another_one(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1, fork=True, head_url=FORK))
        await phase(environment, "awaiting")
        await order(environment, "allow", commit=commit(1).id)
        await ready(environment, 1)
        await announce(environment, request("update", 2, fork=True, head_url=FORK))
        state = await until(environment, lambda state: state.asked == commit(2).id)
        await seen(lambda: world.reports[-1].commit == commit(2).id)
        assert (state.phase, len(world.built)) == ("ready", 1)
        assert await refused(environment, "allow", id="late", commit=commit(3).id) == "OtherCommit"
        await order(environment, "allow", id="second", commit=commit(2).id)
        await ready(environment, 2)
    assert [build.commit.id for build in world.built] == [commit(1).id, commit(2).id]
    assert all(build.untrusted for build in world.built)


async def test_a_word_for_a_commit_that_was_replaced_meanwhile_builds_nothing(
    serve: Serve, world: PreviewWorld
) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1, fork=True, head_url=FORK))
        await announce(environment, request("update", 2, fork=True, head_url=FORK))
        await until(environment, lambda state: state.asked == commit(2).id)
        assert await refused(environment, "allow", commit=commit(1).id) == "OtherCommit"
        state = await preview(environment).query(Preview.state)
    assert (state.wanted, world.built) == (None, [])


async def test_a_closed_request_that_waited_leaves_no_status_pending(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        await announce(environment, request("open", 1, fork=True, head_url=FORK))
        await phase(environment, "awaiting")
        await announce(environment, request("close", 2, fork=True))
        await phase(environment, "closed")
        await seen(lambda: world.reports[-1].state == "failure")
        assert await refused(environment, "allow", commit=commit(1).id) == "PreviewEnded"
    assert world.built == []


@pytest.mark.parametrize(
    ("author", "outcome"),
    [
        ("ann", "Told"),
        ("mallory", "AwaitingOkToTest"),
    ],
    ids=["may write", "may read"],
)
async def test_an_authors_own_branch_is_built_at_once_when_the_author_is_trusted(
    serve: Serve, world: PreviewWorld, author: str, outcome: str
) -> None:
    world.trust = TrustRules(trusted=("bob",))
    world.permissions = {"ann": "write", "mallory": "read"}
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1, author=author))
        if outcome == "Told":
            await ready(environment, 1)
    assert told.outcome == outcome
    assert bool(world.built) == (outcome == "Told")
    assert not any(build.untrusted for build in world.built)


async def test_while_nobody_can_say_who_is_trusted_nothing_is_built(serve: Serve, world: PreviewWorld) -> None:
    world.trust_failures = [UserFailure("TokenRefused", "GitHub answered 401.")]
    async with serve(world) as environment:
        told = await announce(environment, request("open", 1, author="ann"))
    assert (told.outcome, world.built) == ("TokenRefused", [])
    assert "TokenRefused" in world.reasons()


async def test_a_fork_on_another_host_is_not_fetched(serve: Serve, world: PreviewWorld) -> None:
    async with serve(world) as environment:
        away = "http://elsewhere.test/mallory/hello.git"
        told = await announce(environment, request("open", 1, fork=True, head_url=away, provider="git"))
    assert (told.outcome, world.built) == ("ForkElsewhere", [])


async def test_what_the_branchs_own_push_has_built_is_not_built_again(serve: Serve, world: PreviewWorld) -> None:
    release = Release(
        name="hello-1", component=KEY, commit=commit(1), image=Image(repository="r", digest="sha256:" + "1" * 64),
        workload=Workload(replicas=3), sequence=1, project="default",
    )  # fmt: skip
    world.adopted[commit(1).id] = Adopted(release=release, workflow="build/default/hello/1/1", log="r:log")
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        state = await ready(environment, 1)
        assert (world.built, world.running[PLACE].image) == ([], release.image)
        assert (state.log, world.running[PLACE].workload.replicas) == ("r:log", 1)
        await order(environment, "retry")
        await seen(lambda: world.built)
        await ready(environment, 1)
    assert len(world.built) == 1, "who asks for another build gets one"


async def test_what_is_being_built_can_be_stopped_and_tried_again(serve: Serve, world: PreviewWorld) -> None:
    world.build_gates[1] = asyncio.Event()
    async with serve(world) as environment:
        await announce(environment, request("open", 1))
        await seen(lambda: world.submitted)
        assert await refused(environment, "retry", only_failed=True) == "StillWorking"
        await order(environment, "stop")
        state = await phase(environment, "failed")
        assert (state.reason, len(world.stopped)) == ("Stopped", 1)
        assert await refused(environment, "stop", id="again") == "NothingRuns"
        world.build_gates[1].set()
        await order(environment, "retry", only_failed=True, id="once more")
        await ready(environment, 1)
        assert await refused(environment, "retry", only_failed=True, id="fine") == "NothingFailed"
    assert len(world.submitted) == 2


async def test_a_failed_build_of_a_stranger_is_tried_again_as_little_trusted(
    serve: Serve, world: PreviewWorld
) -> None:
    world.builds[1] = [BuildResult(phase="failed", reason="BuildFailed", message="no", failure="user")]
    async with serve(world) as environment:
        await announce(environment, request("open", 1, fork=True, head_url=FORK, provider="github"))
        await phase(environment, "awaiting")
        assert await refused(environment, "retry") == "NeedsOkToTest"
        await order(environment, "allow", commit=commit(1).id)
        await phase(environment, "failed")
        await order(environment, "retry", id="again", only_failed=True)
        await ready(environment, 1)
    assert [build.untrusted for build in world.built] == [True, True]
