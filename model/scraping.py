"""`prometheus.io/scrape`, `port` and `path`: the annotations by which Prometheus finds pods, read and written."""

import re
from collections.abc import Mapping, Sequence

from model.failure import UserFailure
from model.workload import Endpoint, Metrics

SCRAPE = "prometheus.io/scrape"
PORT = "prometheus.io/port"
PATH = "prometheus.io/path"


def metrics(annotations: Mapping[str, str]) -> Metrics | None:
    """What a component's annotations ask for; None when it is not to be scraped.

    Raises:
        UserFailure: `InvalidManifest`, naming the annotation.
    """
    scrape = annotations.get(SCRAPE, "false")
    if scrape not in ("true", "false"):
        raise _refuse(SCRAPE, 'write "true" or "false"')
    if scrape == "false":
        return None
    port, path = annotations.get(PORT, "0"), annotations.get(PATH, "/metrics")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise _refuse(PORT, 'write a port of the container, such as "8080"')
    if not re.fullmatch(r"/[^\x00-\x20\x7f]{0,1023}", path):
        raise _refuse(PATH, "write a path such as /metrics")
    return Metrics(port=int(port), path=path)


def annotations(asked: Metrics | None, endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """The pod's annotations; none when there is no port that could be scraped."""
    if asked is None:
        return {}
    port = asked.port or next((one.container_port for one in endpoints if one.type != "UDP"), 0)
    return {SCRAPE: "true", PORT: str(port), PATH: asked.path} if port else {}


def _refuse(annotation: str, what: str) -> UserFailure:
    return UserFailure("InvalidManifest", f"metadata.annotations.{annotation}: {what}")
