"""A component's configuration files: a ConfigMap, and how files get into the container."""

import hashlib
import json
from typing import Any

from model import names
from model.failure import UserFailure
from model.manifests.metadata import metadata
from model.rollout import RolloutRequest
from model.workload import File

# A ConfigMap may hold 1 MiB, keys and metadata included.
CONTENT_LIMIT = 900 * 1024


def configuration(request: RolloutRequest) -> dict[str, Any] | None:
    """The ConfigMap of the literal files, or None when there are none.

    Its name carries a hash of its content, so that a change rolls the pods and an older release still
    finds its own; it is immutable for the same reason.

    Raises:
        UserFailure: `FilesTooLarge`.
    """
    files = request.release.workload.files
    data = {_key(number): file.value for number, file in enumerate(files) if not file.secret}
    if not data:
        return None
    if sum(len(content.encode()) for content in data.values()) > CONTENT_LIMIT:
        raise UserFailure(
            "FilesTooLarge",
            f"The files of {request.release.component} are larger than {CONTENT_LIMIT // 1024} KiB together; "
            "put large content into the image.",
        )
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(request, _name(request, data)),
        "immutable": True,
        "data": data,
    }


def volumes(request: RolloutRequest) -> list[dict[str, Any]]:
    """The volumes behind the files: the ConfigMap, and each Secret that is named."""
    found: list[dict[str, Any]] = []
    config = configuration(request)
    if config is not None:
        found.append({"name": "files", "configMap": {"name": config["metadata"]["name"]}})
    found.extend(
        {"name": name, "secret": {"secretName": secret}}
        for secret, name in _secrets(request.release.workload.files).items()
    )
    return found


def mounts(request: RolloutRequest) -> list[dict[str, Any]]:
    """One read-only mount a file, so that nothing else in its folder is hidden."""
    secrets = _secrets(request.release.workload.files)
    return [
        {
            "name": secrets[file.secret] if file.secret else "files",
            "mountPath": file.path,
            "subPath": file.key if file.secret else _key(number),
            "readOnly": True,
        }
        for number, file in enumerate(request.release.workload.files)
    ]


def _key(number: int) -> str:
    return f"file-{number}"


def _secrets(files: tuple[File, ...]) -> dict[str, str]:
    distinct = dict.fromkeys(file.secret for file in files if file.secret)
    return {secret: f"secret-{number}" for number, secret in enumerate(distinct)}


def _name(request: RolloutRequest, data: dict[str, str]) -> str:
    content = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]
    return f"{names.workload(request.target.component.key.name)[:46]}-files-{content}"
