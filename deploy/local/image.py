"""An image with one file of another part in it."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.local.archive import write_image_archive
from deploy.local.part import Workbench

_FORMAT = "1"  # counts up when write_image_archive makes something else of the same file


@dataclass(frozen=True)
class ScratchImage:
    """``image.tar`` with one static binary.

    Args:
        reference: name of the image, registry and tag included.
        part: name of the part that has the binary; name it in ``needs`` too.
        file: the binary in that part's folder.
        path: where it lies in the image.
        entrypoint: command line of the image.
        user: ``uid:gid`` that runs it.
    """

    reference: str
    part: str
    file: str
    path: str
    entrypoint: tuple[str, ...]
    user: str = "65532:65532"

    def fingerprint(self) -> str:
        """What goes in, by name; ``Part`` adds the key of the part that it comes from."""
        return repr(self) + _FORMAT

    def make(self, bench: Workbench) -> None:
        """Write the archive."""
        write_image_archive(
            bench.output / "image.tar",
            name=self.reference,
            files={self.path: bench.needs[self.part] / self.file},
            entrypoint=self.entrypoint,
            user=self.user,
        )
