"""What becomes of commands that steer: whose word counts, for which release, and what is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from pydantic import BaseModel

from activities.acting import Acting
from activities.apiserver import ApiServer
from activities.hosting import Hosting
from activities.hosts import Hosts
from activities.outbound import Outbound
from model import ids
from model.actor import Actor
from model.command import Command
from model.comment import Comment
from model.comment_story import CommandResult, Concerned, Word
from model.commit import Commit
from model.component import Component
from model.failure import Conflict, InfrastructureFailure, NotFound
from model.gate import Approval
from model.hosting import HostedChange
from model.image import Image
from model.key import ComponentKey
from model.lane import Answer, LaneRequest, LaneState
from model.mark import Mark
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.preview import PreviewOrder
from model.release import Release
from model.resources.repository import Repository
from model.workload import Workload

KEY = ComponentKey(name="web")
HEAD, MERGED, OTHER = "a" * 40, "b" * 40, "c" * 40
RITA = Actor(kind="person", name="github:rita", email="rita@example.com", roles=("release-manager",))


def release(commit: str, name: str) -> Release:
    return Release(
        name=name,
        component=KEY,
        project="default",
        commit=Commit(id=commit, author_email="ann@example.com"),
        image=Image(repository="r", digest="sha256:" + commit[0] * 64),
        workload=Workload(),
        sequence=1,
    )


@dataclass
class World:
    """Everything outside: `waiting` are releases by the environment at whose gate they stand."""

    releases: list[Release] = field(
        default_factory=lambda: [release(OTHER, "web-other"), release(MERGED, "web-merged")]
    )
    waiting: dict[str, Release] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    policy: StepPolicy = field(default_factory=StepPolicy)
    change: HostedChange = field(
        default_factory=lambda: HostedChange(change="7", state="merged", head=HEAD, merged_as=MERGED, author="ann")
    )
    updates: list[tuple[str, str, BaseModel, str]] = field(default_factory=list)
    promoted: list[tuple[str, str, str]] = field(default_factory=list)
    refuses: Exception | None = None

    async def query(self, workflow: str, name: str, result: Any) -> Any:
        environment = workflow.rpartition("/")[2]
        if workflow != ids.lane(KEY, environment) or environment not in self.waiting:
            raise NotFound("RunNotFound", "no lane")
        found = self.waiting[environment]
        candidate = LaneRequest(
            id="1",
            kind="candidate",
            component=Component(key=KEY),
            step=EnvironmentStep(environment=environment),
            release=found,
            promotion=ids.promotion(KEY, found.name),
        )
        return LaneState(candidates=[candidate])

    async def update(self, workflow: str, name: str, argument: BaseModel, update_id: str, result: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses
        self.updates.append((workflow, name, argument, update_id))
        return Answer(accepted=True, reason="Done", message="Done.")

    async def start(self, release: Release, until: str, request: str, actor: Actor) -> CommandResult:
        self.promoted.append((release.name, until, actor.name))
        return CommandResult(command="", accepted=True, reason="Promoting", message="On its way.")

    async def component(self, key: ComponentKey) -> Component | None:
        return Component(key=key)

    async def pipeline(self, _component: Component) -> Pipeline:
        steps = tuple(EnvironmentStep(environment=name, policy=self.policy) for name in ("staging", "production"))
        return Pipeline(name="default", steps=steps)

    async def list(self, _api: str, _kind: str, namespace: str, *_more: str) -> list[dict[str, Any]]:
        spec = {
            "url": "https://github.com/team/web",
            "provider": "github",
            "api": {"tokenSecretRef": {"name": "t"}},
        }
        return [
            {
                "apiVersion": "towpath.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "web", "namespace": namespace},
                "spec": spec,
            }
        ]


class Kept:
    def __init__(self, world: World) -> None:
        self._world = world

    async def component(self, key: ComponentKey) -> Component | None:
        return await self._world.component(key)

    async def pipeline(self, component: Component) -> Pipeline:
        return await self._world.pipeline(component)

    async def releases(self, _key: ComponentKey) -> list[Release]:
        return self._world.releases

    async def of(self, release: Release) -> Mark | None:
        return self._world.marks.get(release.name)


class Provider(Hosts):
    def __init__(self, world: World) -> None:
        super().__init__(cast(Any, None), Outbound())
        self._world = world

    @asynccontextmanager
    async def open(self, repository: Repository) -> AsyncIterator[Hosting]:
        world = self._world

        class Known:
            async def change(self, _change: str) -> HostedChange:
                return world.change

        yield cast(Hosting, Known())


@pytest.fixture
def world() -> World:
    return World()


def acting(world: World, key: bool = True) -> Acting:
    server, kept = cast(ApiServer, world), Kept(world)
    told = world if key else None
    return Acting(server, Provider(world), cast(Any, None), kept, kept, told, told)


async def say(world: World, verb: str, argument: str = "", actor: Actor = RITA, key: bool = True) -> CommandResult:
    login = actor.name.partition(":")[2]
    comment = Comment(
        provider="github",
        repository="github.com/team/web",
        url="https://github.com/team/web",
        change="7",
        comment="99",
        actor=Actor(kind="person", name=login),
    )
    word = Word(
        id="comment/1/0",
        command=Command.model_validate({"verb": verb, "argument": argument}),
        comment=comment,
        actor=actor,
        concerned=Concerned(component=KEY, project="default", preview=True, commit=HEAD, branch="idea"),
    )
    return await acting(world, key).act(word)


async def test_promote_sends_the_release_of_what_the_request_was_taken_in_as(world: World) -> None:
    result = await say(world, "promote", "production")
    assert (result.accepted, world.promoted) == (True, [("web-merged", "production", "github:rita")])


async def test_what_cannot_be_promoted_is_not(world: World) -> None:
    assert (await say(world, "promote", "qa")).reason == "UnknownEnvironment"
    world.marks["web-merged"] = Mark(word="bad", reason="leaks", by="bob")
    assert (await say(world, "promote", "staging")).reason == "MarkedBad"
    world.change = world.change.model_copy(update={"merged_as": "d" * 40})
    assert (await say(world, "promote", "staging")).reason == "ReleaseNotFound"
    assert world.promoted == []


async def test_the_head_of_an_open_fork_is_no_release_of_the_request(world: World) -> None:
    world.change = HostedChange(change="7", state="open", head=OTHER, fork=True)
    assert (await say(world, "promote", "production")).reason == "ReleaseNotFound"


async def test_approve_is_for_the_one_place_where_it_waits(world: World) -> None:
    world.waiting = {"production": release(MERGED, "web-merged")}
    result = await say(world, "approve")
    assert result.accepted
    [(workflow, name, said, update)] = world.updates
    assert isinstance(said, Approval)
    assert (workflow, name, update) == ("promotion/default/web/web-merged", "approve", "comment/1/0")
    assert (said.digest, said.environment, said.actor) == ("sha256:" + "b" * 64, "production", RITA)


async def test_another_request_s_release_is_not_approved(world: World) -> None:
    world.waiting = {"production": release(OTHER, "web-other")}
    assert (await say(world, "approve", "production")).reason == "NothingWaits"
    assert world.updates == []


async def test_of_several_places_one_must_be_named(world: World) -> None:
    world.waiting = {name: release(MERGED, "web-merged") for name in ("staging", "production")}
    assert (await say(world, "approve")).reason == "SeveralWait"
    assert (await say(world, "approve", "staging")).accepted


async def test_nobody_approves_what_they_wrote_or_may_have_written(world: World) -> None:
    world.waiting = {"production": release(MERGED, "web-merged")}
    author = Actor(kind="person", name="github:Ann", email="ann@example.com", roles=("release-manager",))
    unknown = Actor(kind="person", name="github:zoe", roles=("release-manager",))
    assert (await say(world, "approve", actor=author)).reason == "OwnCommit"
    assert (await say(world, "approve", actor=unknown)).reason == "PersonUnknown"
    assert world.updates == []
    world.policy = StepPolicy(allow_own_commit=True)
    assert (await say(world, "approve", actor=unknown)).accepted


async def test_orders_reach_the_preview_as_the_person_who_gave_them(world: World) -> None:
    commit = "e" * 40
    assert (await say(world, "ok-to-test", commit)).accepted
    [(workflow, name, said, _)] = world.updates
    assert isinstance(said, PreviewOrder)
    assert (workflow, name, said.kind, said.commit) == ("preview/default/web/7", "order", "allow", commit)
    assert said.actor == RITA


async def test_a_refusal_is_told_and_an_outage_is_tried_again(world: World) -> None:
    world.refuses = Conflict("OtherCommit", "It moved on.")
    result = await say(world, "ok-to-test", "e" * 40)
    assert (result.accepted, result.reason, result.message) == (False, "OtherCommit", "It moved on.")
    world.refuses = InfrastructureFailure("TemporalUnavailable", "away")
    with pytest.raises(InfrastructureFailure):
        await say(world, "ok-to-test", "e" * 40)


async def test_without_a_key_nobody_is_spoken_for(world: World) -> None:
    world.waiting = {"production": release(MERGED, "web-merged")}
    for verb, argument in (("ok-to-test", "e" * 40), ("approve", ""), ("promote", "production"), ("test", "")):
        assert (await say(world, verb, argument, key=False)).reason == "NoActingKey"
