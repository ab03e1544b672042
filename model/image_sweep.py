"""Looking for images that nobody has announced."""

from model.component import Component
from model.failure import UserFailure
from model.image_import import rule_of
from model.value import State, Value

SWEPT_LIMIT = 200


class TagsQuestion(Value):
    """Which tag of a repository is the highest that a rule takes; `rule` as a manifest says it."""

    repository: str
    rule: str


class TagsAnswer(Value):
    """The tag; empty where there is none."""

    tag: str = ""


class ImageSweepRequest(Value):
    """Asks for a look at all images that are followed."""


class Taken(Value):
    """An image that was taken in, and by which tag."""

    repository: str
    tag: str
    digest: str


class Followed(Value):
    """A component that follows tags, and what was taken in for it last, the newest first."""

    component: Component
    taken: tuple[Taken, ...] = ()


class SweptImage(Value):
    """What was found for a component: `reason` is `Started`, `UpToDate`, or why it could not be looked up."""

    component: str
    image: str
    reason: str


class ImageSweepState(State):
    """What a query of an ImageSweep answers, and its result."""

    looked: int = 0
    found: list[SweptImage] = []


def tags_to_look_at(component: Component, taken: tuple[Taken, ...]) -> tuple[str, ...]:
    """The tags that may have moved unannounced, for rules that list tags; for patterns, the one taken last. Rules
    about versions ask the registry for the highest."""
    try:
        rule = rule_of(component)[1]
    except UserFailure:
        return ()
    if rule.kind == "tags":
        return rule.tags[:10]
    if rule.kind == "semver":
        return ()
    return tuple(each.tag for each in taken if rule.takes(each.tag))[:1]


def is_known(taken: tuple[Taken, ...], repository: str, digest: str) -> bool:
    """Whether this very image was taken in of late."""
    return any((each.repository, each.digest) == (repository, digest) for each in taken)
