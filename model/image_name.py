"""Names of images as people write them, and when two of them are the same.

The grammar is that of https://github.com/distribution/reference; a name without a host is Docker Hub's.
"""

import re

from model.failure import UserFailure
from model.image import is_digest
from model.value import Value

HUB = "docker.io"
LIMIT = 512
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
# What cosign and others keep beside an image: signatures, attestations and bills of materials, named after the
# digest that they speak of (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md), and the OCI
# distribution specification's fallback for referrers.
_BESIDE = re.compile(r"sha256-[0-9a-f]{64}(?:\.[A-Za-z0-9_.-]{1,32})?")


class ImageName(Value):
    """`repository` is `host[:port]/path`; `tag` and `digest` are empty when they are not said."""

    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def host(self) -> str:
        """The registry."""
        return self.repository.partition("/")[0]

    @property
    def path(self) -> str:
        """The repository within its registry."""
        return self.repository.partition("/")[2]


def parse(text: str) -> ImageName:
    """The image that a text such as `nginx`, `ghcr.io/team/app:1.2` or `host:5000/app@sha256:…` names.

    A name with neither tag nor digest means the tag `latest`.

    Raises:
        UserFailure: `BadImage`.
    """
    name, at, digest = text.partition("@")
    if len(text) > LIMIT or (at and not is_digest(digest)):
        raise _bad()
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not is_tag(tag):
        raise _bad()
    found = repository(f"{head}{slash}{last}")
    return ImageName(repository=found, tag=tag or ("" if digest else "latest"), digest=digest)


def repository(text: str) -> str:
    """`host/path` of a repository's name, with Docker Hub's host and `library/` where they are left out.

    Raises:
        UserFailure: `BadImage`.
    """
    if len(text) > LIMIT:
        raise _bad()
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first.lower() == "localhost"):
        host, path = first.lower(), rest
    else:
        host, path = HUB, text
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = HUB
    if host == HUB and "/" not in path:
        path = f"library/{path}"
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise _bad()
    return f"{host}/{path}"


def is_tag(text: str) -> bool:
    """Whether a text can be a tag."""
    return _TAG.fullmatch(text) is not None


def is_beside(tag: str) -> bool:
    """Whether a tag is that of something which is kept beside an image, such as its signature."""
    return _BESIDE.fullmatch(tag) is not None


def _bad() -> UserFailure:
    return UserFailure("BadImage", "The image is not written as host/path:tag or host/path@sha256:…")
