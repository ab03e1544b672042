"""Taking in an image that was built elsewhere: what the registry says of it, and whether it becomes a release."""

from typing import Literal

from model import image_rule
from model.commit import Commit
from model.component import Component
from model.failure import UserFailure
from model.image import Image
from model.image_name import ImageName, parse
from model.image_push import ImagePush
from model.image_rule import TagRule
from model.key import ComponentKey
from model.release import Imported, Release, release_name
from model.value import State, Value

IMPORTED_LIMIT = 50
BUILT_LIMIT = 200
Step = Literal["release", "adopt", "stop"]


class ImageQuestion(Value):
    """What a registry is asked: a tag or a digest of a repository, and the platform it must be made for."""

    repository: str
    reference: str
    platform: str = ""


class ResolvedImage(Value):
    """What a registry serves under a tag at this moment. `created` in milliseconds since the epoch (0: unknown);
    `revision`, `source` and `version` are the image's labels."""

    image: Image
    created: int = 0
    revision: str = ""
    source: str = ""
    version: str = ""
    platforms: tuple[str, ...] = ()


class Known(Value):
    """A component's releases as far as an import asks: the newest one, what has come from outside so far (newest
    first, at most `IMPORTED_LIMIT`), and the digests that Towpath's own builds of it made (`BUILT_LIMIT`)."""

    newest: Release | None = None
    imported: tuple[Release, ...] = ()
    built: tuple[str, ...] = ()


class KnownQuestion(Value):
    """Whose releases."""

    component: ComponentKey


class Wanted(Value):
    """What is to be looked up for a component. Where it is not `pinned` the tag decides, since what is said of
    its digest may be old by now."""

    repository: str
    tag: str = ""
    digest: str = ""
    pinned: bool = False

    @property
    def reference(self) -> str:
        """What the registry is asked for."""
        return self.digest if self.pinned or not self.tag else self.tag


class Decision(Value):
    """What becomes of an image: a new release, one that was there, or nothing (with a reason)."""

    step: Step
    reason: str = ""
    message: str = ""
    release: Release | None = None


class ImportedImage(Value):
    """One component's share in an image delivery."""

    component: ComponentKey
    reason: str
    message: str = ""
    release: str = ""
    image: str = ""


class ImageDeliveryState(State):
    """What a query of an ImageDelivery answers, and its result.

    `outcome` is a stable reason: `Accepted`, `Imported` (one release at least is new), `NothingNew`,
    `NobodyFollows`, `ImportFailed` (nothing could be taken in, for the reasons that the imports give).
    """

    push: ImagePush
    outcome: str = "Accepted"
    message: str = ""
    imports: list[ImportedImage] = []


def rule_of(component: Component) -> tuple[ImageName, TagRule]:
    """The image that a component's manifest names, and which of its tags are followed. A digest is followed by
    nothing: it never moves.

    Raises:
        UserFailure: `BadImage` or `BadTagRule`.
    """
    name = parse(component.build.image)
    named = "" if name.digest and not name.tag else name.tag
    followed = image_rule.rule(component.build.tags, "" if name.digest else named)
    return name, followed


def follows(component: Component, push: ImagePush) -> bool:
    """Whether a push of this image is a component's business."""
    if component.build.kind != "image" or not component.build.image or not component.auto_build:
        return False
    try:
        name, rule = rule_of(component)
    except UserFailure:
        return False
    return name.repository == push.repository and rule.takes(push.tag)


def wanted(component: Component, push: ImagePush, known: Known) -> Wanted:
    """What to look up. For a push, its tag. Else what the manifest names; where the manifest follows tags and
    one of them was taken before, the newest of these: an edit of settings never changes the image, while a
    person who asks for another look gets what that tag leads to now.

    Raises:
        UserFailure: `BadImage` or `BadTagRule`.
    """
    name, rule = rule_of(component)
    if push.cause in ("push", "sweep"):
        return Wanted(repository=push.repository, tag=push.tag, digest=push.digest)
    if component.build.tags:
        for release in known.imported:
            tag = release.imported.tag if release.imported else ""
            if release.image.repository == name.repository and rule.takes(tag):
                pinned = push.cause == "applied"
                return Wanted(repository=name.repository, tag=tag, digest=release.image.digest, pinned=pinned)
    return Wanted(repository=name.repository, tag=name.tag, digest=name.digest, pinned=bool(name.digest))


def decide(
    component: Component, push: ImagePush, asked: Wanted, found: ResolvedImage, known: Known, occasion: str
) -> Decision:
    """What becomes of an image that the registry has just served.

    Args:
        component: as declared now.
        push: what brought it.
        asked: what was looked up.
        found: what the registry serves.
        known: the component's releases so far.
        occasion: the id of the workflow that decides, for a release that comes a second time.
    """
    if found.image.digest in known.built:
        return Decision(step="stop", reason="OwnPush", message="Towpath's own build of this component pushed it.")
    release = _release(component, push, asked, found, occasion)
    same = next((each for each in (*known.imported, known.newest) if each and _same(each, release)), None)
    if same is None:
        lower = lower_than(component, release, known)
        if lower is not None and push.cause in ("push", "sweep"):
            return Decision(step="stop", reason="OlderImage", message=_older(release, lower))
        return Decision(step="release", release=_after(release, component, known))
    if same == known.newest:
        return Decision(step="adopt", release=same, reason="AlreadyReleased", message=f"It is {same.name}.")
    if push.cause in ("push", "sweep"):
        return Decision(
            step="stop",
            reason="OlderImage",
            message=f"{asked.tag or found.image.digest[:19]} leads to what {same.name} has, and "
            f"{known.newest.name if known.newest else 'another'} is newer. To go back, roll "
            f"back: towpath rollback {component.key} -e ENVIRONMENT",
        )
    # Somebody wrote it into the manifest: like a commit that takes others back, it is a new release of the same.
    name = release_name(component.key, release.commit.id, release.image, release.workload, occasion)
    return Decision(step="release", release=release.model_copy(update={"name": name}))


def lower_than(component: Component, release: Release, known: Known) -> Release | None:
    """A release of the same image that is newer than this one: of a higher version where versions are followed,
    else, under another tag, made later by its own account."""
    _, rule = rule_of(component)
    mine = release.imported or Imported()
    for other in known.imported:
        theirs = other.imported or Imported()
        if other.image.repository != release.image.repository or _same(other, release):
            continue
        if image_rule.is_lower(rule, mine.tag, theirs.tag):
            return other
        by_date = rule.kind != "semver" and mine.tag != theirs.tag and rule.takes(theirs.tag)
        if by_date and mine.created and theirs.created and mine.created < theirs.created:
            return other
    return None


def made_by(kept: Release, mine: Release) -> bool:
    """Whether a kept release is the one that this very import made, perhaps at an earlier try."""
    return (kept.build, kept.sequence) == (mine.build, mine.sequence) and _same(kept, mine)


def _release(component: Component, push: ImagePush, asked: Wanted, found: ResolvedImage, workflow: str) -> Release:
    return Release(
        name=release_name(component.key, found.revision, found.image, component.workload),
        component=component.key,
        project=component.project,
        commit=Commit(
            id=found.revision,
            author=push.actor.name if push.actor.kind == "person" else "",
            author_email=push.actor.email,
            subject=f"Image {asked.repository}:{asked.tag}"[:200]
            if asked.tag
            else f"Image {asked.repository}"[:200],
        ),
        image=found.image,
        workload=component.workload,
        sequence=push.sequence,
        build=workflow,
        imported=Imported(tag=asked.tag, created=found.created, source=found.source, version=found.version),
    )


def _after(release: Release, component: Component, known: Known) -> Release:
    """The release behind all that are older by their version: of two tags at once the events may come in the
    wrong order."""
    behind = [release.sequence - 1]
    for other in known.imported:
        theirs = other.imported or Imported()
        if other.image.repository == release.image.repository:
            _, rule = rule_of(component)
            if image_rule.is_lower(rule, theirs.tag, release.imported.tag if release.imported else ""):
                behind.append(other.sequence)
    return release.model_copy(update={"sequence": max(behind) + 1})


def _older(release: Release, newer: Release) -> str:
    mine, theirs = release.imported or Imported(), newer.imported or Imported()
    return f"{mine.tag} is older than {theirs.tag}, which is {newer.name}; deploy it by hand if it is wanted."


def _same(one: Release, other: Release) -> bool:
    return (one.commit.id, one.image, one.workload) == (other.commit.id, other.image, other.workload)
