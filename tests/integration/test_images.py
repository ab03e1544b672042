"""Reading images from the stack's registry, as it really serves them."""

import uuid
from collections.abc import Iterator

import pytest

from activities.imagereader import ImageReader
from activities.images import Pulls
from activities.outbound import Outbound
from deploy.local.settings import Settings
from model.failure import NotFound, UserFailure
from model.image_import import ImageQuestion, ResolvedImage
from model.image_sweep import TagsQuestion
from tests.pushing import CONFIG, Pusher

pytestmark = pytest.mark.stack

COMMIT = "c" * 40


@pytest.fixture
def pusher() -> Iterator[Pusher]:
    pusher = Pusher(Settings.from_environment().registry, f"test/images-{uuid.uuid4().hex[:8]}")
    yield pusher
    pusher.close()


async def resolve(pusher: Pusher, reference: str, platform: str = "linux/amd64") -> ResolvedImage:
    registry = pusher.name.partition("/")[0]
    pulls = Pulls(ImageReader(Outbound(), insecure=frozenset({registry})))
    return await pulls.resolve(ImageQuestion(repository=pusher.name, reference=reference, platform=platform))


async def test_a_tag_is_its_digest_and_what_the_image_says_of_itself(pusher: Pusher) -> None:
    labels = {
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.version": "1.2",
        "org.opencontainers.image.source": "https://git.example/team/app",
    }
    digest = pusher.image("v1", labels=labels)
    found = await resolve(pusher, "v1")
    assert found.image.reference == f"{pusher.name}@{digest}"
    assert (found.revision, found.version, found.source) == (COMMIT, "1.2", "https://git.example/team/app")
    assert found.created == 1_795_262_400_000
    assert (await resolve(pusher, digest)).image == found.image


async def test_a_tag_that_was_moved_leads_to_its_new_digest_at_once(pusher: Pusher) -> None:
    first = pusher.image("latest", labels={"n": "1"})
    second = pusher.image("latest", labels={"n": "2"})
    assert (await resolve(pusher, "latest")).image.digest == second != first


async def test_what_labels_say_is_believed_only_as_far_as_it_can_be(pusher: Pusher) -> None:
    pusher.image(
        "odd", labels={"org.opencontainers.image.revision": "main; rm -rf /"}, created="1970-01-01T00:00:00Z"
    )
    found = await resolve(pusher, "odd")
    assert (found.revision, found.created) == ("", 0)


async def test_of_an_index_the_whole_is_taken_when_it_has_the_platform(pusher: Pusher) -> None:
    amd = pusher.image("", labels={"org.opencontainers.image.revision": COMMIT})
    arm = pusher.image("", platform=("linux", "arm64"))
    index = pusher.index("multi", (arm, "linux", "arm64"), (amd, "linux", "amd64"), (arm, "unknown", "unknown"))
    found = await resolve(pusher, "multi")
    assert (found.image.digest, found.revision) == (index, COMMIT)
    assert found.platforms == ("linux/arm64", "linux/amd64")
    with pytest.raises(UserFailure) as refused:
        await resolve(pusher, "multi", "linux/s390x")
    assert refused.value.reason == "PlatformMissing"


async def test_an_image_for_other_machines_is_refused_unless_any_will_do(pusher: Pusher) -> None:
    digest = pusher.image("arm", platform=("linux", "arm64"))
    with pytest.raises(UserFailure) as refused:
        await resolve(pusher, "arm")
    assert refused.value.reason == "PlatformMissing"
    assert "linux/arm64" in refused.value.message
    assert (await resolve(pusher, "arm", "any")).image.digest == digest


async def test_charts_signatures_and_the_like_are_no_images(pusher: Pusher) -> None:
    pusher.artifact("chart", "application/vnd.cncf.helm.config.v1+json", b"{}")
    subject = pusher.image("v1")
    pusher.artifact(
        "sig",
        CONFIG,
        b"{}",
        subject={"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject},
    )
    for tag in ("chart", "sig"):
        with pytest.raises(UserFailure) as refused:
            await resolve(pusher, tag)
        assert refused.value.reason == "NotAnImage"


async def test_what_is_not_there_is_said_by_its_name(pusher: Pusher) -> None:
    pusher.image("v1")
    with pytest.raises(NotFound) as missing:
        await resolve(pusher, "v2")
    assert (missing.value.reason, missing.value.message) == ("ImageNotFound", f"There is no {pusher.name}:v2.")


async def test_of_many_tags_the_highest_version_that_is_followed_is_found(pusher: Pusher) -> None:
    for tag in ("1.2.0", "1.10.0", "v1.9.9", "2.0.0", "1.11.0-rc.1", "main"):
        pusher.image(tag)
    registry = pusher.name.partition("/")[0]
    pulls = Pulls(ImageReader(Outbound(), insecure=frozenset({registry})))
    answer = await pulls.highest(TagsQuestion(repository=pusher.name, rule="semver: >=1 <2"))
    assert answer.tag == "1.10.0"
