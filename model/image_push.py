"""An image has come to a registry, free of the sender's dialect."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.key import ComponentKey
from model.value import Value


class ImagePush(Value):
    """A tag of an image repository was pushed (or was asked to be looked at).

    `repository` is host and path without a tag (`registry.example/team/app`), `digest` what the sender says that
    the tag leads to (`""` when it does not say), `media_type` that of the manifest, `sequence` milliseconds since
    the epoch at which it was accepted. `components` limits it to these (applied manifests and manual triggers);
    empty means all that follow the image.
    """

    cause: Literal["push", "applied", "trigger", "sweep"] = "push"
    provider: str = ""
    delivery: str = ""
    repository: str
    tag: str = ""
    digest: str = ""
    media_type: str = ""
    sequence: int = 0
    actor: Actor = AUTOMATION
    components: tuple[ComponentKey, ...] = ()
