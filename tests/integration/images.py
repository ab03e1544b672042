"""A small image for what runs in a cluster under test: busybox in an OCI layout, made here."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.local.containerd import ctr
from deploy.local.settings import Settings
from model.image import Image

REPOSITORY = "towpath.test/busybox"
_LINKS = (
    "sh",
    "httpd",
    "sleep",
    "echo",
    "cat",
    "mkdir",
    "nc",
    "wget",
    "printf",
    "false",
    "true",
    "chmod",
    "nslookup",
)


def busybox(
    settings: Settings, command: tuple[str, ...] = ("/bin/sh",), programs: Mapping[str, Path] | None = None
) -> Image:
    """The image by digest, imported into the stack's containerd unless it is there; `command` is its own.

    `programs` are static binaries to put beside busybox, by their names in `/bin`.
    """
    layer = _layer(programs or {})
    name = "-".join(["test", *(programs or {})])
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
    )
    image = Image(repository=REPOSITORY, digest=_digest(manifest))
    listed = _run(ctr(settings, "images", "list", "--quiet")).splitlines()
    if image.reference not in listed:
        entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
        entry["annotations"] = {"io.containerd.image.name": f"{REPOSITORY}:{name}"}
        files = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
            **{f"blobs/sha256/{_digest(blob)[7:]}": blob for blob in (layer, config, manifest)},
        }
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "busybox.tar")
            archive.write_bytes(_tar(files))
            _run(ctr(settings, "images", "import", str(archive)))
        _run(ctr(settings, "images", "tag", "--force", f"{REPOSITORY}:{name}", image.reference))
    return image


def busybox_layer() -> bytes:
    """The files of the image, for one that is pushed."""
    return _layer({})


def _layer(programs: Mapping[str, Path]) -> bytes:
    program = shutil.which("busybox")
    if program is None:
        raise RuntimeError("these tests need busybox-static (apt-get install busybox-static)")
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for folder in ("bin", "tmp"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                tar.addfile(entry)
            for name, path in {"busybox": Path(program), **programs}.items():
                binary = path.resolve().read_bytes()
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.size, entry.mode = len(binary), 0o755
                tar.addfile(entry, io.BytesIO(binary))
            for link in _LINKS:
                entry = tarfile.TarInfo(f"bin/{link}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        return buffer.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
