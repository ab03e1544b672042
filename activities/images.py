"""Images that were built elsewhere: who follows them, what a registry serves, what was taken in before."""

import platform as machine
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO, Declarations
from activities.imagereader import INDEXES, MANIFESTS, ImageReader, Served
from model import image_import, image_rule, released
from model.component import Component
from model.declared_image import ANY
from model.failure import UserFailure
from model.image import Image, is_digest
from model.image_import import BUILT_LIMIT, IMPORTED_LIMIT, ImageQuestion, Known, KnownQuestion, ResolvedImage
from model.image_push import ImagePush
from model.image_sweep import SWEPT_LIMIT, Followed, ImageSweepRequest, TagsAnswer, TagsQuestion, Taken
from model.repository import check_commit
from model.workload import Workload

_CONFIGURATIONS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
_REVISION = "org.opencontainers.image.revision"
_SOURCE = "org.opencontainers.image.source"
_VERSION = "org.opencontainers.image.version"
_LABEL_LIMIT = 300
TAKEN = 5
"""Releases of each component that a sweep compares with."""
# Reproducible builds say that they were made in 1970 or 1980: that orders nothing.
_BELIEVABLE = datetime(2000, 1, 1, tzinfo=UTC)


class Images:
    """Components that follow images, and their releases, on the control plane."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._declarations = Declarations(server)

    @activity.defn(name="images.followers")
    async def followers(self, push: ImagePush) -> list[Component]:
        """The components that follow this image, or that the push names (if they are made from images at all).

        Raises:
            UserFailure: a component that the push names cannot be read.
        """
        if push.components:
            found = [await self._declarations.one(key) for key in push.components]
            return [each for each in found if each is not None and each.build.kind == "image" and each.build.image]
        return [each for each in await self._declarations.all() if image_import.follows(each, push)]

    @activity.defn(name="images.known")
    async def known(self, question: KnownQuestion) -> Known:
        """What a component has been released as so far."""
        key = question.component
        objects = await self._server.list(OPENCHOREO, "ComponentRelease", key.namespace, released.selector(key))
        found = [release for release in map(released.release, objects) if release is not None]
        newest = sorted(found, key=lambda release: release.sequence, reverse=True)
        imported = [release for release in newest if release.imported is not None]
        built = [release.digest for release in newest if release.imported is None]
        return Known(
            newest=newest[0] if newest else None,
            imported=tuple(imported[:IMPORTED_LIMIT]),
            built=tuple(built[:BUILT_LIMIT]),
        )

    @activity.defn(name="images.followed")
    async def followed(self, request: ImageSweepRequest) -> list[Followed]:  # noqa: ARG002  (it asks for all)
        """Every component that follows tags, with what was taken in for it."""
        components = [
            each
            for each in await self._declarations.all()
            if each.build.kind == "image" and each.build.image and each.auto_build
        ]
        return [await self._followed(each) for each in components[:SWEPT_LIMIT]]

    async def _followed(self, component: Component) -> Followed:
        known = await self.known(KnownQuestion(component=component.key))
        taken = tuple(
            Taken(
                repository=each.image.repository,
                tag=each.imported.tag if each.imported else "",
                digest=each.digest,
            )
            for each in known.imported[:TAKEN]
        )
        # As much as is compared: two hundred components are one answer.
        return Followed(component=component.model_copy(update={"workload": Workload()}), taken=taken)


class Pulls:
    """Asks registries, on a build plane.

    Args:
        reader: of any registry.
        platform: what images must be made for where a component does not say; empty: what this machine is.
    """

    def __init__(self, reader: ImageReader, platform: str = "") -> None:
        self._reader = reader
        self._platform = platform or f"linux/{_ARCHITECTURES.get(machine.machine(), machine.machine())}"

    @activity.defn(name="images.resolve")
    async def resolve(self, question: ImageQuestion) -> ResolvedImage:
        """What a tag leads to at this moment, by digest, with what the image says of itself.

        Raises:
            NotFound: `ImageNotFound`.
            UserFailure: `NotAnImage` (a signature, a chart …), `PlatformMissing`, `RegistryRefused`.
            InfrastructureFailure: `RegistryUnavailable`.
        """
        wanted = question.platform or self._platform
        served = await self._reader.manifest(question.repository, question.reference)
        image = served
        platforms: tuple[str, ...] = ()
        if served.media_type in INDEXES:
            image, platforms = await self._chosen(question.repository, served, wanted)
        configuration = await self._configuration(question.repository, image)
        own = _platform(configuration)
        if not platforms:
            platforms = (own or "nothing that it says",)
        if wanted not in (ANY, own) and wanted not in platforms:
            raise UserFailure(
                "PlatformMissing",
                f"{question.repository}:{question.reference[:80]} is made for {', '.join(platforms)}, not for "
                f"{wanted}; build it for that, or say towpath.dev/image-platform.",
            )
        labels = _labels(configuration)
        return ResolvedImage(
            image=Image(repository=question.repository, digest=served.digest),
            created=_moment(configuration.get("created")),
            revision=_revision(labels.get(_REVISION, "")),
            source=_shown(labels.get(_SOURCE, "")),
            version=_shown(labels.get(_VERSION, "")),
            platforms=platforms,
        )

    @activity.defn(name="images.highest")
    async def highest(self, question: TagsQuestion) -> TagsAnswer:
        """The highest version among a repository's tags that the rule takes.

        Raises:
            As `resolve`, and UserFailure `BadTagRule`.
        """
        rule, best = image_rule.rule(question.rule), ""
        async for page in self._reader.tags(question.repository):
            best = image_rule.highest(rule, (*page, best) if best else page)
        return TagsAnswer(tag=best)

    async def _chosen(self, repository: str, index: Served, wanted: str) -> tuple[Served, tuple[str, ...]]:
        """The image of an index that fits, or its first, and all platforms that it is made for."""
        entries = index.document.get("manifests")
        known: dict[str, str] = {}
        for entry in entries[:100] if isinstance(entries, list) else []:
            if not isinstance(entry, dict) or entry.get("mediaType") not in MANIFESTS:
                continue
            about, digest = entry.get("platform"), str(entry.get("digest", ""))
            # Attestations are kept in indexes as images for a platform that nobody knows.
            name = _platform(about) if isinstance(about, dict) else ""
            if name and not name.startswith("unknown") and is_digest(digest):
                known.setdefault(name, digest)
        if not known:
            raise UserFailure("NotAnImage", f"{repository} serves an index without images that say a platform.")
        digest = known.get(wanted) or next(iter(known.values()))
        return await self._reader.manifest(repository, digest), tuple(known)

    async def _configuration(self, repository: str, image: Served) -> dict[str, Any]:
        about = image.document.get("config")
        digest = str(about.get("digest", "")) if isinstance(about, dict) else ""
        kind = about.get("mediaType") if isinstance(about, dict) else None
        artifact = image.document.get("artifactType") or image.document.get("subject")
        if image.media_type not in MANIFESTS or kind not in _CONFIGURATIONS or artifact or not is_digest(digest):
            raise UserFailure(
                "NotAnImage", f"What {repository} serves there is {str(kind)[:100]}, no image to run."
            )
        return await self._reader.configuration(repository, digest)


def _platform(about: dict[str, Any]) -> str:
    parts = [about.get(name) for name in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) and part for part in parts[:2]):
        return ""
    # Every arm64 is v8.
    variant = parts[2] if isinstance(parts[2], str) and (parts[1], parts[2]) != ("arm64", "v8") else ""
    return "/".join(str(part)[:16] for part in (*parts[:2], variant) if part)


def _labels(configuration: dict[str, Any]) -> dict[str, str]:
    inner = configuration.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    known = labels if isinstance(labels, dict) else {}
    return {key: text for key, text in known.items() if isinstance(text, str)}


def _revision(text: str) -> str:
    try:
        return check_commit(text)
    except UserFailure:
        return ""


def _shown(text: str) -> str:
    return "".join(ch for ch in text[:_LABEL_LIMIT] if ch.isprintable())


def _moment(text: Any) -> int:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) and len(text) < 64 else None
        return int(at.timestamp() * 1000) if at is not None and at.tzinfo and at >= _BELIEVABLE else 0
    except (ValueError, OverflowError):
        return 0
