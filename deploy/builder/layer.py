"""Layers: files as an archive that is the same for the same files."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from pathlib import Path, PurePosixPath

LEFT_OUT = frozenset({".git", ".hg", ".svn"})


def write_layer(target: Path, source: Path, prefix: str) -> None:
    """Archive a folder as it shall lie in the image.

    Everything belongs to root and only root may write it; there are no times. So the same files give the
    same digest, and the process, which is not root, cannot change its own program.

    Args:
        target: the `.tar.gz` to write.
        source: folder to read; version control's own folders at its top are left out.
        prefix: absolute folder in the image.
    """
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        stem = PurePosixPath(prefix.strip("/"))
        for parent in (*reversed(stem.parents[:-1]), stem):
            archive.addfile(_entry(parent.as_posix(), tarfile.DIRTYPE, 0o755))
        for path in _walk(source):
            _add(archive, path, (stem / path.relative_to(source).as_posix()).as_posix())


def _walk(source: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, files in os.walk(source):
        if Path(folder) == source:
            folders[:] = [name for name in folders if name not in LEFT_OUT]
        folders.sort()
        found.extend(Path(folder) / name for name in (*folders, *files))
    return sorted(found)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        entry = _entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = os.readlink(path)
        archive.addfile(entry)
    elif stat.S_ISDIR(status.st_mode):
        archive.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
    elif stat.S_ISREG(status.st_mode):
        entry = _entry(name, tarfile.REGTYPE, 0o755 if status.st_mode & stat.S_IXUSR else 0o644)
        entry.size = status.st_size
        with path.open("rb") as content:
            archive.addfile(entry, content)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry
