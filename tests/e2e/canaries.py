"""Secrets that must be nowhere, and where people and machines look."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx

from tests.e2e.site import BUILD_PLANE, Site

WORKERS = 3
KINDS = (
    "components.choreo.dev",
    "components.openchoreo.dev",
    "componentreleases.openchoreo.dev",
    "releasebindings.openchoreo.dev",
    "repositories.towpath.dev",
    "events",
)


def disguises(secret: str) -> frozenset[bytes]:
    """A secret as it is, URL-encoded, and in base64 wherever it begins in what was encoded."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode()}
    for ahead in range(3):
        encoded = base64.b64encode(b"\0" * ahead + raw)
        # Letters at both ends also depend on what stands beside it.
        begin, end = (0, 2, 3)[ahead], len(encoded) - (4 if (ahead + len(raw)) % 3 else 0)
        found |= {encoded[begin:end], encoded[begin:end].replace(b"+", b"-").replace(b"/", b"_")}
    return frozenset(found)


@dataclass
class Search:
    """Texts in which none of the secrets may be, by what they are.

    Args:
        secrets: by what they are for, which is what a failing test says.
    """

    secrets: Mapping[str, str] = field(repr=False)
    texts: dict[str, bytes] = field(default_factory=dict, repr=False)

    def histories(self, site: Site, queries: Iterable[str]) -> set[str]:
        """Look into the histories that visibility queries find; answers their kinds."""
        runs = {run for query in queries for run in site.runs.found(query)}
        self.texts |= {run: site.runs.raw_history(run) for run in runs}
        return {run.partition("/")[0] for run in runs}

    def processes(self, site: Site) -> None:
        """Look into the logs of all that runs on the stack, and the metrics of Towpath's processes."""
        logs = sorted(site.settings.logs.glob("*.log"))
        assert {"towpath-server.log", "towpath-control-worker.log", "temporal.log"} <= {log.name for log in logs}
        self.texts |= {log.name: log.read_bytes() for log in logs}
        ports = [site.settings.worker_metrics_port + number for number in range(WORKERS)]
        for url in (site.settings.server_url, *(f"http://127.0.0.1:{port}" for port in ports)):
            self.texts[f"{url}/metrics"] = httpx.get(f"{url}/metrics", timeout=20, trust_env=False).content

    def objects(self, site: Site) -> None:
        """Look into what is declared and told in the cluster, and into the builds' objects."""
        for kind in KINDS:
            self.texts[kind] = json.dumps(site.see.objects(kind, f"--namespace={site.namespace}")).encode()
        builds = site.see.objects("workflows.argoproj.io", f"--namespace={BUILD_PLANE}")
        self.texts["workflows"] = json.dumps(builds).encode()

    def holds(self, text: str) -> bool:
        """Whether a text that is known to be there is found, as the secrets would be."""
        return any(text.encode() in each for each in self.texts.values())

    def found(self) -> list[tuple[str, str]]:
        """Where which secret is."""
        forms = {what: disguises(secret) for what, secret in self.secrets.items()}
        return [
            (where, what)
            for where, text in sorted(self.texts.items())
            for what, each in forms.items()
            if any(form in text for form in each)
        ]
