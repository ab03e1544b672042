"""The API token and the webhook secret are nowhere where people or machines look."""

import hashlib
import json
from urllib.parse import quote

import pytest

from model.repository import normalise
from tests.e2e.chapters import Arrival, Redelivered
from tests.e2e.site import BUILD_PLANE, Site

KINDS = (
    "components.choreo.dev",
    "components.openchoreo.dev",
    "componentreleases.openchoreo.dev",
    "releasebindings.openchoreo.dev",
    "events",
)


@pytest.fixture(scope="module")
def secrets(site: Site) -> list[str]:
    """What must not be found: the secrets, and what can be sent in place of the token."""
    token, webhook = site.environment["TOWPATH_TOKEN"], site.environment["TOWPATH_WEBHOOK_SECRET"]
    assert len(token) > 15
    assert len(webhook) > 15
    return [token, webhook, hashlib.sha256(token.encode()).hexdigest()]


def test_no_history_holds_a_secret(
    site: Site, hello: Arrival, redelivered: Redelivered, secrets: list[str]
) -> None:
    mine = [f"TowpathComponent = '{app.key}'" for app in (hello.app, redelivered.app)]
    pushes = f"push/{quote(normalise(hello.app.url), safe='')}"
    mine.append(f"WorkflowId STARTS_WITH '{pushes}'")
    runs = sorted({run for query in mine for run in site.runs.found(query)})
    kinds = {run.partition("/")[0] for run in runs}
    assert kinds >= {"push", "applied", "build", "promotion", "lane", "rollout"}
    histories = {run: site.runs.raw_history(run) for run in runs}
    # The search would find it: what is known to be in a history is found in the same way.
    assert hello.first.encode() in histories[f"build/{hello.app.key}/{hello.first}/1"]
    found = [run for run, history in histories.items() if any(secret.encode() in history for secret in secrets)]
    assert found == []


def test_no_log_of_ours_holds_a_secret(site: Site, hello: Arrival, secrets: list[str]) -> None:
    logs = sorted(site.settings.logs.glob("*.log"))
    assert {"towpath-server.log", "towpath-control-worker.log", "temporal.log"} <= {log.name for log in logs}
    texts = {log.name: log.read_text(errors="replace") for log in logs}
    assert [name for name, text in texts.items() if any(secret in text for secret in secrets)] == []


def test_no_status_event_or_workflow_object_holds_a_secret(site: Site, hello: Arrival, secrets: list[str]) -> None:
    told = {kind: json.dumps(site.see.objects(kind, f"--namespace={site.namespace}")) for kind in KINDS}
    told["workflows"] = json.dumps(site.see.objects("workflows.argoproj.io", f"--namespace={BUILD_PLANE}"))
    assert hello.first in told["components.choreo.dev"]
    assert [kind for kind, text in told.items() if any(secret in text for secret in secrets)] == []
