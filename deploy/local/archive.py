"""Image archives with a handful of files in them, written without a daemon or a build tool."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path


def write_image_archive(
    target: Path,
    *,
    name: str,
    files: Mapping[str, Path],
    entrypoint: tuple[str, ...] = (),
    user: str = "65532:65532",
) -> None:
    """Write a one-layer image, as ``FROM scratch`` and ``COPY`` would make it.

    The format is the image specification's v1.2 tar archive, which
    ``ctr images import`` and ``skopeo copy docker-archive:`` read.

    Args:
        target: the archive to write.
        name: reference with a tag, registry included.
        files: path in the image to the file on this machine; all become mode 0755.
        entrypoint: command line of the image.
        user: ``uid:gid`` that runs it.
    """
    layer = _tar({path.lstrip("/"): source.read_bytes() for path, source in files.items()})
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(entrypoint),
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "User": user,
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    target.write_bytes(
        _tar(
            {
                config_name: config,
                "layer.tar": layer,
                "manifest.json": json.dumps(manifest).encode(),
            }
        )
    )


def _tar(files: Mapping[str, bytes]) -> bytes:
    # No times and no owners: the same files give the same digest.
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
