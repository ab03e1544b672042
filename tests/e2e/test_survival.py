"""Parts are killed in the middle: the story ends as if nothing had happened, with one build and one deployment."""

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from deploy.local.engine import SERVER, worker_name
from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.chapters import Redelivered, Rollback
from tests.e2e.site import Site

DELIVERIES = 120
SENDERS = 8
TEMPORAL = "temporal"


@pytest.mark.alone
@pytest.mark.parametrize(
    ("in_build", "in_rollout"),
    [
        (worker_name("build"), worker_name("data")),
        (worker_name("control"), worker_name("control")),
        (SERVER, SERVER),
        (TEMPORAL, TEMPORAL),
    ],
    ids=["workers-of-the-planes", "control-worker", "server", "temporal"],
)
def test_a_push_arrives_as_if_nothing_had_been_killed(
    site: Site, redelivered: Redelivered, rollback: Rollback, in_build: str, in_rollout: str
) -> None:
    app = redelivered.app
    commit = app.push(f"Survive {in_build} and {in_rollout}")
    app.building(commit)
    killed_in_build = _kill(site, in_build)
    site.see.until("the rollout", 120, lambda: _applied(app, commit))
    killed_in_rollout = _kill(site, in_rollout)
    revision = app.healthy(commit, "development")

    digest = revision["release"]["image"]["digest"]
    (workflow,) = app.workflows(commit)
    assert workflow["status"]["phase"] == "Succeeded"
    (build,) = site.runs.spans(f"WorkflowType = 'Build' AND TowpathCommit = '{commit}'")
    assert build.began < killed_in_build < build.ended, "the kill came after the build"
    assert revision["started_at"] < killed_in_rollout < revision["finished_at"], "the kill came after the rollout"
    assert [line["number"] for line in app.revisions(commit, "development")] == [revision["number"]]
    assert len(_replica_sets(app, digest)) == 1
    assert app.image_ids("development") == {digest}
    assert app.curl("development") == f"{app.version()} (development)"
    assert app.overlaps("development") == []


@pytest.mark.alone
@pytest.mark.parametrize("service", [SERVER, TEMPORAL])
def test_every_delivery_that_was_accepted_before_the_kill_is_there_after_it_once(
    site: Site, redelivered: Redelivered, service: str
) -> None:
    url, ref = redelivered.app.url, f"refs/heads/kill-{secrets.token_hex(4)}"
    commits = [secrets.token_hex(20) for _ in range(DELIVERIES)]
    accepted: dict[str, str] = {}
    some = threading.Event()

    def deliver(commit: str) -> int:
        try:
            answer = site.sender.send(site.sender.push(url, commit, ref=ref))
        except httpx.TransportError:
            return 0
        if answer.status_code == 202:
            accepted[commit] = answer.json()["workflow"]
            if len(accepted) >= DELIVERIES // 4:
                some.set()
        return answer.status_code

    with ThreadPoolExecutor(max_workers=SENDERS) as pool:
        sending = [pool.submit(deliver, commit) for commit in commits]
        assert some.wait(60)
        try:
            site.stack.kill(service)
            before = dict(accepted)
        finally:
            site.stack.restart(service)
        statuses = {sent.result() for sent in sending}
    assert statuses <= {0, 202, 503}, statuses
    assert len(before) < DELIVERIES, "nothing was in flight when the part was killed"

    def accepts(commit: str) -> dict[str, Any]:
        answer = site.sender.send(site.sender.push(url, commit, ref=ref))
        return answer.json() if answer.status_code == 202 else {}

    again = {commit: site.see.until("a redelivery", 30, lambda: accepts(commit)) for commit in commits}  # noqa: B023
    assert {commit: answer["workflow"] for commit, answer in again.items() if commit in before} == before
    assert [commit for commit in before if not again[commit]["duplicate"]] == []
    stored = f"WorkflowId STARTS_WITH 'push/{quote(normalise(url), safe='')}/{ref}/'"
    site.see.until("all deliveries", 30, lambda: site.runs.count(stored) >= DELIVERIES)
    assert site.runs.count(stored) == DELIVERIES


def _kill(site: Site, service: str) -> float:
    """SIGKILL, and start it again; when it was killed (seconds since the epoch)."""
    try:
        site.stack.kill(service)
        return time.time()
    finally:
        site.stack.restart(service)


def _applied(app: Application, commit: str) -> bool:
    """Whether the commit lies on the API server and the lane is not through with it."""
    annotation = "towpath.dev/commit"
    return any(
        deployment["metadata"]["annotations"].get(annotation) == commit
        for deployment in app.objects_in("development", "deployment")
    )


def _replica_sets(app: Application, digest: str) -> list[dict[str, Any]]:
    return [
        replicas
        for replicas in app.objects_in("development", "replicaset")
        if replicas["spec"]["template"]["spec"]["containers"][0]["image"].endswith(digest)
    ]
