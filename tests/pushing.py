"""Pushing images to a registry as any client does: over its HTTP API, without a daemon."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

import httpx

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Pusher:
    """Pushes to one repository of a registry that asks for no credentials. Close it."""

    def __init__(self, registry: str, path: str) -> None:
        self.name = f"{registry}/{path}"
        self._client = httpx.Client(base_url=f"http://{registry}/v2/{path}/", timeout=30)

    def close(self) -> None:
        self._client.close()

    def image(
        self,
        tag: str,
        layer: bytes = b"",
        command: tuple[str, ...] = (),
        labels: Mapping[str, str] | None = None,
        created: str = "2026-11-21T12:00:00Z",
        platform: tuple[str, str] = ("linux", "amd64"),
    ) -> str:
        """An image of one layer under a tag (or, `tag` empty, under its digest alone); answers its digest."""
        content = layer or empty_layer()
        config = _json(
            {
                "os": platform[0],
                "architecture": platform[1],
                "created": created,
                "config": {"Env": ["PATH=/bin"], "Cmd": list(command), "Labels": dict(labels or {})},
                "rootfs": {"type": "layers", "diff_ids": [digest(content)]},
            }
        )
        return self.artifact(tag, CONFIG, config, content)

    def artifact(self, tag: str, kind: str, config: bytes, layer: bytes = b"{}", **more: Any) -> str:
        """Anything that has a manifest; `kind` is its configuration's media type."""
        for content in (config, layer):
            self._blob(content)
        layers = [_descriptor(LAYER, layer)]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(kind, config),
            "layers": layers,
        }
        return self._manifest(tag, MANIFEST, {**manifest, **more})

    def index(self, tag: str, *entries: tuple[str, str, str]) -> str:
        """An index of images by (digest, os, architecture)."""
        listed = [
            {"mediaType": MANIFEST, "digest": name, "size": 1, "platform": {"os": system, "architecture": machine}}
            for name, system, machine in entries
        ]
        for entry in listed:
            head = self._client.head(f"manifests/{entry['digest']}", headers={"Accept": MANIFEST})
            entry["size"] = int(head.headers["Content-Length"])
        return self._manifest(tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})

    def _manifest(self, tag: str, kind: str, document: dict[str, Any]) -> str:
        content = _json(document)
        put = self._client.put(
            f"manifests/{tag or digest(content)}", content=content, headers={"Content-Type": kind}
        )
        put.raise_for_status()
        return digest(content)

    def _blob(self, content: bytes) -> None:
        if self._client.head(f"blobs/{digest(content)}").status_code == 200:
            return
        begun = self._client.post("blobs/uploads/")
        begun.raise_for_status()
        place = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest(content)})
        self._client.put(place, content=content).raise_for_status()


def empty_layer() -> bytes:
    """An archive of nothing."""
    archive = io.BytesIO()
    tarfile.open(fileobj=archive, mode="w").close()
    return archive.getvalue()


def digest(content: bytes) -> str:
    """As registries name content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}
