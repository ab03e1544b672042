"""An image by digest. Tags are for people; everything the engine does goes by digest."""

import re

from model.value import Value

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Image(Value):
    """`repository` is `host[:port]/path`, `digest` is `sha256:` and 64 hex digits."""

    repository: str
    digest: str

    @property
    def reference(self) -> str:
        """What a pod's `image` field gets."""
        return f"{self.repository}@{self.digest}"


def is_digest(text: str) -> bool:
    """Whether the text is a sha256 digest (OCI image specification, descriptor digests)."""
    return _DIGEST.fullmatch(text) is not None
