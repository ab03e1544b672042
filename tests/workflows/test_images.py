"""Images that were built elsewhere, from their push to an environment, over a scripted world."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio import activity
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.testing import WorkflowEnvironment

from model import ids, image_import, image_rule
from model.component import BuildPlan, Component
from model.delivery import DeliveryState
from model.failure import NotFound, UserFailure
from model.image import Image
from model.image_import import ImageDeliveryState, ImageQuestion, Known, KnownQuestion, ResolvedImage
from model.image_push import ImagePush
from model.image_sweep import Followed, ImageSweepRequest, ImageSweepState, TagsAnswer, TagsQuestion, Taken
from model.key import ComponentKey
from model.promotion import PromotionState
from model.push import Push
from model.release import Release
from tests.workflows.conftest import Serve
from tests.workflows.world import KEY, World, commit
from workflows.delivery import Delivery
from workflows.image_delivery import ImageDelivery
from workflows.image_sweep import ImageSweep
from workflows.promotion import Promotion

PLACE = "ghcr.io/team/hello"
BUILT_ELSEWHERE = Component(key=KEY, uid="u1", build=BuildPlan(kind="image", image=f"{PLACE}:latest"))


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@dataclass
class Yard(World):
    """A world with a registry: `tags` lead to numbers of commits that images were made from."""

    components: list[Component] = field(default_factory=lambda: [BUILT_ELSEWHERE])
    tags: dict[str, int] = field(default_factory=dict)
    absent: int = 0
    refused: UserFailure | None = None

    def all(self) -> list[Callable[..., Any]]:
        return [*super().all(), self.followers, self.known, self.resolve, self.followed, self.highest]

    @activity.defn(name="images.followed")
    async def followed(self, _request: ImageSweepRequest) -> list[Followed]:
        taken = tuple(
            Taken(repository=each.image.repository, tag=each.imported.tag, digest=each.digest)
            for each in reversed(self.releases)
            if each.imported
        )
        return [Followed(component=each, taken=taken) for each in self.components]

    @activity.defn(name="images.highest")
    async def highest(self, question: TagsQuestion) -> TagsAnswer:
        if question.repository != PLACE:
            raise UserFailure("RegistryRefused", "private")
        return TagsAnswer(tag=image_rule.highest(image_rule.rule(question.rule), tuple(self.tags)))

    @activity.defn(name="images.followers")
    async def followers(self, push: ImagePush) -> list[Component]:
        if push.components:
            return [each for each in self.components if each.key in push.components]
        return [each for each in self.components if image_import.follows(each, push)]

    @activity.defn(name="images.known")
    async def known(self, _question: KnownQuestion) -> Known:
        newest = sorted(self.releases, key=lambda release: release.sequence, reverse=True)
        return Known(newest=newest[0] if newest else None, imported=tuple(newest))

    @activity.defn(name="images.resolve")
    async def resolve(self, question: ImageQuestion) -> ResolvedImage:
        if self.refused is not None:
            raise self.refused
        if self.absent:
            self.absent -= 1
            raise NotFound("ImageNotFound", "not yet")
        reference = question.reference
        number = self.tags[reference] if reference in self.tags else int(reference.removeprefix("sha256:"), 16)
        image = Image(repository=question.repository, digest=digest(number))
        return ResolvedImage(image=image, revision=commit(number).id, created=number * 1000)

    @activity.defn(name="resources.record_release")
    async def record_release(self, release: Release) -> None:
        if all(release.name != kept.name for kept in self.releases):
            self.releases.append(release)


def push(tag: str, number: int, sequence: int, **changed: object) -> ImagePush:
    fields = {"repository": PLACE, "tag": tag, "digest": digest(number), "sequence": sequence, **changed}
    return ImagePush.model_validate(fields)


async def deliver(environment: WorkflowEnvironment, event: ImagePush, suffix: str = "") -> ImageDeliveryState:
    return await environment.client.execute_workflow(
        ImageDelivery.run,
        event,
        id=ids.image(event.repository, event.digest, event.tag, event.delivery) + suffix,
        task_queue=ids.CONTROL_QUEUE,
    )


async def arrived(environment: WorkflowEnvironment, release: str) -> None:
    """Wait until a release is as far as it comes by itself: workers that are stopped while it is under way take
    long to stop."""
    handle = environment.client.get_workflow_handle_for(Promotion.run, ids.promotion(KEY, release))
    while True:
        state: PromotionState = await handle.query(Promotion.state)
        if "production" in state.steps and state.steps["production"].phase == "at-gate":
            return
        await asyncio.sleep(0.02)


async def test_a_pushed_image_becomes_a_release_by_digest_and_goes_its_way(serve: Serve) -> None:
    world = Yard(tags={"latest": 7})
    async with serve(world) as environment:
        ended = await deliver(environment, push("latest", 7, 1))
        (release,) = world.releases
        await arrived(environment, release.name)
    assert (ended.outcome, ended.imports[0].release) == ("Imported", release.name)
    assert (release.image.reference, release.commit.id) == (f"{PLACE}@{digest(7)}", commit(7).id)
    assert world.applied[0] == ("development", release.name)
    assert "ImageReleased" in {note.reason for note in world.notes}


async def test_an_image_announced_ten_times_at_once_and_again_when_temporal_forgot_is_one_deployment(
    serve: Serve,
) -> None:
    world = Yard(tags={"latest": 7})
    async with serve(world) as environment:
        begun = [
            await environment.client.start_workflow(
                ImageDelivery.run,
                push("latest", 7, number),
                id=ids.image(PLACE, digest(7), "latest", str(number)) + f"-{number}",
                task_queue=ids.CONTROL_QUEUE,
            )
            for number in range(10)
        ]
        ended = [await each.result() for each in begun]
        await arrived(environment, world.releases[0].name)
        # Another run for the same event, as when the first one's record is gone.
        for again in ("-again", "-and-again"):
            late = await deliver(environment, push("latest", 7, 20), again)
            assert (late.outcome, late.imports[0].reason) == ("NothingNew", "AlreadyReleased")
    assert sorted(each.outcome for each in ended) == ["Imported"] + ["NothingNew"] * 9
    assert len(world.releases) == 1
    assert [name for name, _ in world.applied].count("development") == 1


async def test_versions_announced_in_the_wrong_order_end_with_the_highest(serve: Serve) -> None:
    follows = BUILT_ELSEWHERE.build.model_copy(update={"tags": "semver: >=1"})
    world = Yard(
        components=[BUILT_ELSEWHERE.model_copy(update={"build": follows})], tags={"1.10.0": 10, "1.9.0": 9}
    )
    async with serve(world) as environment:
        first = await deliver(environment, push("1.10.0", 10, 1))
        late = await deliver(environment, push("1.9.0", 9, 2))
        await arrived(environment, first.imports[0].release)
    assert late.imports[0].reason == "OlderImage"
    assert {name for _, name in world.applied} == {first.imports[0].release}


async def test_the_registry_is_waited_for_and_decides_what_a_tag_is_not_the_event(serve: Serve) -> None:
    world = Yard(tags={"latest": 8}, absent=2)
    async with serve(world) as environment:
        ended = await deliver(environment, push("latest", 7, 1))
        await arrived(environment, world.releases[0].name)
    assert ended.outcome == "Imported"
    assert [release.image.digest for release in world.releases] == [digest(8)]
    assert "had led to" in ended.imports[0].message


async def test_what_cannot_be_taken_in_is_told_where_people_look_and_deploys_nothing(serve: Serve) -> None:
    world = Yard(tags={"latest": 7}, refused=UserFailure("PlatformMissing", "made for linux/s390x"))
    async with serve(world) as environment:
        ended = await deliver(environment, push("latest", 7, 1))
        # A signature beside an image bothers nobody.
        world.refused = UserFailure("NotAnImage", "a chart")
        beside = await deliver(environment, push("latest", 8, 2))
    assert beside.outcome == "NothingNew"
    assert ended.outcome == "ImportFailed"
    assert [(note.type, note.reason) for note in world.notes] == [("Warning", "PlatformMissing")]
    assert world.applied == []


async def test_an_applied_manifest_that_names_an_image_is_released_without_any_push(serve: Serve) -> None:
    world = Yard(tags={"latest": 7})
    applied = Push(cause="applied", repository="", url="", ref="", sequence=1, components=(KEY,))
    async with serve(world) as environment:
        ended: DeliveryState = await environment.client.execute_workflow(
            Delivery.run, applied, id=ids.applied(KEY, "u1", 1), task_queue=ids.CONTROL_QUEUE
        )
        await arrived(environment, world.releases[0].name)
    assert ended.outcome == "Imported"


async def test_a_component_that_deploys_nothing_by_itself_keeps_the_release(serve: Serve) -> None:
    world = Yard(components=[BUILT_ELSEWHERE.model_copy(update={"auto_deploy": False})], tags={"latest": 7})
    async with serve(world) as environment:
        ended = await deliver(environment, push("latest", 7, 1))
    assert (ended.outcome, len(world.releases), world.applied) == ("Imported", 1, [])


async def test_what_no_webhook_told_is_found_once_and_what_is_known_is_left_alone(serve: Serve) -> None:
    world = Yard(tags={"latest": 7})
    async with serve(world) as environment:
        await deliver(environment, push("latest", 7, 1))
        await arrived(environment, world.releases[0].name)
        assert await swept(environment, "a") == ["UpToDate"]
        world.tags["latest"] = 8
        assert await swept(environment, "b") == ["Started"]
        await environment.client.get_workflow_handle(ids.image(PLACE, digest(8), "latest", "")).result()
        await arrived(environment, world.releases[1].name)
        assert await swept(environment, "c") == ["UpToDate"]
        # Its webhook comes at last: known.
        with pytest.raises(WorkflowAlreadyStartedError):
            await environment.client.start_workflow(
                ImageDelivery.run,
                push("latest", 8, 9),
                id=ids.image(PLACE, digest(8), "latest", ""),
                task_queue=ids.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
    assert [release.image.digest for release in world.releases] == [digest(7), digest(8)]


async def test_a_sweep_finds_the_highest_version_and_goes_past_a_registry_that_is_away(serve: Serve) -> None:
    follows = BUILT_ELSEWHERE.build.model_copy(update={"tags": "semver: >=1"})
    versions = BUILT_ELSEWHERE.model_copy(update={"build": follows})
    away = versions.model_copy(update={"key": ComponentKey(name="away"), "build_plane": "default"})
    away = away.model_copy(update={"build": follows.model_copy(update={"image": "away.example/app:1.0.0"})})
    world = Yard(components=[away, versions], tags={"1.2.0": 12, "1.10.0": 10, "2.0.0-rc.1": 2, "main": 3})
    async with serve(world) as environment:
        assert await swept(environment, "a") == ["RegistryRefused", "Started"]
        await environment.client.get_workflow_handle(ids.image(PLACE, digest(10), "1.10.0", "")).result()
        await arrived(environment, world.releases[0].name)
    assert [release.image.digest for release in world.releases] == [digest(10)]


async def swept(environment: WorkflowEnvironment, occasion: str) -> list[str]:
    """The reasons of a sweep's findings."""
    state: ImageSweepState = await environment.client.execute_workflow(
        ImageSweep.run, ImageSweepRequest(), id=f"image-sweep/{occasion}", task_queue=ids.CONTROL_QUEUE
    )
    return [each.reason for each in state.found]
