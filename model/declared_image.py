"""What a component's annotations say of an image that is built elsewhere."""

import re
from collections.abc import Mapping

from model import image_rule
from model.component import BuildPlan
from model.failure import UserFailure

TAGS = "towpath.dev/image-tags"
PLATFORM = "towpath.dev/image-platform"
PULL_SECRET = "towpath.dev/image-pull-secret"  # noqa: S105  (an annotation's name)
ANY = "any"
_PLATFORM = re.compile(r"[a-z0-9]{1,16}/[a-z0-9]{1,16}(/[a-z0-9]{1,16})?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def plan(annotations: Mapping[str, str]) -> BuildPlan:
    """How the image of a component without a builder is followed; the image itself is the Workload's.

    Raises:
        UserFailure: `InvalidManifest`, naming the annotation.
    """
    tags, platform = annotations.get(TAGS, "").strip(), annotations.get(PLATFORM, "").strip()
    secret = annotations.get(PULL_SECRET, "").strip()
    try:
        image_rule.rule(tags)
    except UserFailure as failure:
        raise _bad(TAGS, failure.message) from None
    if platform and platform != ANY and not _PLATFORM.fullmatch(platform):
        raise _bad(PLATFORM, "write a platform such as linux/amd64, or any")
    if secret and not _NAME.fullmatch(secret):
        raise _bad(PULL_SECRET, "write the name of a Secret of type kubernetes.io/dockerconfigjson")
    return BuildPlan(kind="image", tags=tags, platform=platform, pull_secret=secret)


def _bad(annotation: str, message: str) -> UserFailure:
    return UserFailure("InvalidManifest", f"metadata.annotations.{annotation}: {message}")
