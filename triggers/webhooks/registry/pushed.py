"""An image was pushed: what that means, the same for every registry."""

import hashlib

from model import image_name
from model.actor import Actor
from model.failure import UserFailure
from model.image import is_digest
from model.image_push import ImagePush
from model.push import Ignored

# Layers and configurations are announced like manifests by some; what is no manifest is no image.
_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


def pushed(
    provider: str,
    delivery: str,
    repository: str,
    tag: str,
    digest: str = "",
    media_type: str = "",
    pusher: str = "",
) -> ImagePush | Ignored:
    """The push of an image, or why it starts nothing.

    Args:
        provider: the registry's kind.
        delivery: the sender's id of it, or what takes its place.
        repository: host and path, in whatever way the registry writes them.
        tag: the tag; without one nobody can follow it.
        digest: what the tag leads to, if that is told.
        media_type: the manifest's, if that is told.
        pusher: who pushed it, if that is told.

    Raises:
        UserFailure: `BadImage`.
    """

    def ignored(reason: str, message: str) -> Ignored:
        return Ignored(provider=provider, delivery=delivery, reason=reason, message=message)

    if media_type and media_type not in _MANIFESTS:
        return ignored("NotAManifest", "A layer, or what is no image, starts nothing.")
    if not tag:
        return ignored("NoTag", "An image without a tag starts nothing; nobody can follow it.")
    if image_name.is_beside(tag):
        return ignored("Signature", "A signature, an attestation or a bill of materials starts nothing.")
    if not image_name.is_tag(tag) or (digest and not is_digest(digest)):
        raise UserFailure("BadImage", "The tag or the digest of the image is none.")
    return ImagePush(
        provider=provider,
        delivery=delivery,
        repository=image_name.repository(repository),
        tag=tag,
        digest=digest,
        media_type=media_type,
        actor=Actor(kind="person", name=pusher) if pusher else Actor(),
    )


def occasion(*parts: str) -> str:
    """An id of a delivery out of what makes it different from others, for registries that give none."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
