"""What becomes of an image that was built elsewhere."""

import pytest

from model import image_import
from model.component import BuildPlan, Component
from model.image import Image
from model.image_import import Decision, Known, ResolvedImage, Wanted, decide, follows, wanted
from model.image_push import ImagePush
from model.key import ComponentKey
from model.release import Release
from model.workload import Workload

PLACE = "ghcr.io/team/app"
KEY = ComponentKey(name="app")


def component(tags: str = "", image: str = f"{PLACE}:latest", **changed: object) -> Component:
    made = Component(key=KEY, build=BuildPlan(kind="image", image=image, tags=tags))
    return made.model_copy(update=changed)


def push(tag: str = "latest", number: int = 1, sequence: int = 1, **changed: object) -> ImagePush:
    fields = {"repository": PLACE, "tag": tag, "digest": digest(number), "sequence": sequence, **changed}
    return ImagePush.model_validate(fields)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def served(number: int, **changed: object) -> ResolvedImage:
    return ResolvedImage.model_validate(
        {"image": Image(repository=PLACE, digest=digest(number)), "created": 1000 * number, **changed}
    )


def taken(of: Component, event: ImagePush, number: int, known: Known | None = None, **changed: object) -> Decision:
    known = known or Known()
    asked = wanted(of, event, known)
    return decide(of, event, asked, served(number, **changed), known, f"image/{event.tag}/{number}")


def after(*releases: Release) -> Known:
    """What is known once these were made, in this order."""
    newest = sorted(releases, key=lambda release: release.sequence, reverse=True)
    return Known(newest=newest[0], imported=tuple(newest))


def released(
    of: Component, event: ImagePush, number: int, known: Known | None = None, **changed: object
) -> Release:
    found = taken(of, event, number, known, **changed)
    assert found.step == "release", found
    assert found.release is not None
    return found.release


def test_only_components_that_run_this_image_and_follow_this_tag_are_concerned() -> None:
    assert follows(component(), push())
    assert not follows(component(), push("v1"))
    assert follows(component("semver: >=1"), push("v1.2.3"))
    assert not follows(component(image="ghcr.io/team/other"), push())
    assert not follows(component(auto_build=False), push())
    assert not follows(component(image=f"{PLACE}@{digest(1)}"), push())
    assert not follows(Component(key=KEY), push())


def test_a_release_is_made_of_the_digest_that_the_registry_serves_now() -> None:
    release = released(component(), push(number=1), 2, revision="c" * 40, version="1.0")
    assert (release.image.digest, release.commit.id) == (digest(2), "c" * 40)
    assert release.imported is not None
    assert (release.imported.tag, release.imported.version) == ("latest", "1.0")
    assert release.build == "image/latest/2"


def test_a_release_without_a_commit_is_named_after_its_digest() -> None:
    release = released(component(), push(), 0xABCDEF)
    assert release.commit.id == ""
    assert release.name.startswith("app-0000000-")


def test_the_same_image_again_is_the_same_release() -> None:
    first = released(component(), push(), 1)
    again = taken(component(), push(sequence=9), 1, after(first))
    assert (again.step, again.release) == ("adopt", first)


def test_a_second_tag_of_the_same_image_is_the_same_release() -> None:
    of = component("latest, v1")
    first = released(of, push("v1"), 1)
    assert taken(of, push("latest", sequence=2), 1, after(first)).step == "adopt"


def test_a_tag_that_is_moved_back_starts_nothing_and_says_so() -> None:
    first = released(component(), push(sequence=1), 1)
    second = released(component(), push(number=2, sequence=2), 2, after(first))
    back = taken(component(), push(number=1, sequence=3), 1, after(first, second))
    assert (back.step, back.reason) == ("stop", "OlderImage")
    assert "rollback" in back.message


def test_a_manifest_that_names_an_older_image_again_makes_a_new_release_of_it() -> None:
    one, two = component(image=f"{PLACE}:v1"), component(image=f"{PLACE}:v2")
    first = released(one, push("v1", sequence=1, cause="applied"), 1)
    second = released(two, push("v2", sequence=2, cause="applied"), 2, after(first))
    third = released(one, push("v1", sequence=3, cause="applied"), 1, after(first, second))
    assert third.image == first.image
    assert third.name != first.name
    assert third.sequence == 3


def test_a_lower_version_never_goes_in_front_of_a_higher_one() -> None:
    of = component("semver: >=1")
    high = released(of, push("1.10.0", sequence=1), 1)
    low = taken(of, push("1.9.0", number=2, sequence=2), 2, after(high))
    assert (low.step, low.reason) == ("stop", "OlderImage")
    assert "1.10.0" in low.message


def test_a_higher_version_whose_event_came_first_in_line_is_put_behind_the_lower_one() -> None:
    of = component("semver: >=1")
    low = released(of, push("1.9.0", sequence=5), 1)
    high = released(of, push("1.10.0", number=2, sequence=4), 2, after(low))
    assert high.sequence > low.sequence
    assert image_import.lower_than(of, low, after(low, high)) == high


def test_of_two_tags_of_a_pattern_the_later_built_image_is_the_newer_one() -> None:
    of = component("regex: main-[0-9]+")
    newer = released(of, push("main-2", sequence=1), 2)
    late = taken(of, push("main-1", number=1, sequence=2), 1, after(newer))
    assert (late.step, late.reason) == ("stop", "OlderImage")
    undated = taken(of, push("main-3", number=3, sequence=3), 3, after(newer), created=0)
    assert undated.step == "release"


def test_what_this_components_own_builds_pushed_is_ignored() -> None:
    known = Known(built=(digest(1),))
    assert taken(component(), push(), 1, known).reason == "OwnPush"


def test_an_edit_of_settings_keeps_the_image_that_was_followed_to() -> None:
    of = component("semver: >=1", image=f"{PLACE}:1.0.0")
    first = released(of, push("1.2.0", sequence=1), 1)
    edited = of.model_copy(update={"workload": Workload(replicas=3)})
    asked = wanted(edited, push("1.0.0", cause="applied"), after(first))
    assert asked == Wanted(repository=PLACE, tag="1.2.0", digest=digest(1), pinned=True)
    assert asked.reference == digest(1)
    second = released(edited, push("1.0.0", sequence=2, cause="applied"), 1, after(first))
    assert (second.image, second.workload.replicas) == (first.image, 3)
    third = wanted(edited, push("1.0.0", cause="applied"), after(first, second))
    assert (third.tag, third.digest) == ("1.2.0", digest(1))


def test_a_person_who_asks_again_gets_what_the_tag_leads_to_now() -> None:
    of = component("semver: >=1", image=f"{PLACE}:1.0.0")
    first = released(of, push("1.2.0", sequence=1), 1)
    assert wanted(of, push("1.0.0", cause="trigger"), after(first)).reference == "1.2.0"


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (f"{PLACE}:v1", "v1"),
        (PLACE, "latest"),
        (f"{PLACE}@{digest(7)}", digest(7)),
        (f"{PLACE}:v1@{digest(7)}", digest(7)),
    ],
)
def test_a_manifest_is_taken_at_its_word(image: str, reference: str) -> None:
    assert wanted(component(image=image), push("x", cause="applied"), Known()).reference == reference
