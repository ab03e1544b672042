"""What a platform team's Prometheus gets from the workers."""

import asyncio
import re
import socket
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.build import BuildResult
from tests.triggers.fakes import FakeApiServer, component_object
from tests.triggers.serving import Parts, git_push, post_git, serving
from tests.workflows.conftest import Serve
from tests.workflows.test_previews import PreviewWorld, announce, ready, request
from tests.workflows.test_story import deliver, promote
from tests.workflows.world import CRASHING, KEY, World, pipeline
from worker.settings import Settings
from worker.telemetry import runtime

SERIES = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
TOLD = {
    name: set(re.findall(r"\w+", labels))
    for name, labels in re.findall(r"^\| `(\w+)` \|([^|]*)\|", PAGE, re.MULTILINE)
}
GUARDS = {"towpath_refused_signals_total": {"signal"}}
ELSEWHERE = {
    "towpath_swept_total": {"found"},
    "towpath_forgotten_refs_total": set[str](),
    "towpath_images_total": {"outcome"},
    "towpath_cloudevents_total": {"outcome"},
    "towpath_queue_corrections_total": {"plane", "what"},
    "towpath_statuses_given_up_total": {"reason"},
}
"""Counted where no story here comes: sweeps, images and events, and what went wrong."""
ALERTS = PAGE.rpartition("```text\n")[2].partition("```")[0]
SDK_LABELS = {"namespace", "task_queue", "workflow_type", "service_name"}


@pytest.fixture
def listen() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def connection(listen: str) -> dict[str, Any]:
    return {"runtime": runtime(Settings(metrics_listen=listen))}


async def scrape(listen: str) -> dict[tuple[str, ...], float]:
    """Our own series: name and our labels as `name=value`, sorted."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{listen}/metrics")).text
    assert "temporal_workflow_completed" in text
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for name, labels, value in SERIES.findall(text):
        if name.startswith("towpath_"):
            told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            found[(name, *sorted(f"{key}={it}" for key, it in told.items() if key not in SDK_LABELS))] += float(
                value
            )
    return found


@pytest.mark.parametrize("cached", [100, 0])
async def test_deliveries_builds_and_rollouts_are_counted_once(serve: Serve, listen: str, cached: int) -> None:
    """Also where every step replays what went before."""
    world = World(pipeline=pipeline(approvals=0), verdicts={("development", 2): CRASHING})
    world.builds[3] = [BuildResult(phase="failed", reason="BuildFailed", message="npm ci", failure="user")]
    async with serve(world, max_cached_workflows=cached) as environment:
        for number in (1, 2, 3):
            await deliver(environment, number)
            if number < 3:
                name = world.releases[-1].name
                await environment.client.get_workflow_handle(ids.promotion(KEY, name)).result()
        counted = await scrape(listen)
    assert counted["towpath_deliveries_total", "outcome=Built"] == 3
    assert counted["towpath_builds_total", "phase=succeeded", "project=default", "reason=Released"] == 2
    assert counted["towpath_builds_total", "phase=failed", "project=default", "reason=BuildFailed"] == 1
    assert counted["towpath_build_seconds_count", "phase=succeeded"] == 2
    expected = {("false", "healthy"): 2, ("false", "rolled-back"): 1, ("true", "healthy"): 1}
    for (production, result), number in expected.items():
        labels = (f"production={production}", "project=default", f"result={result}")
        assert counted["towpath_rollouts_total", *labels] == number
        assert counted["towpath_rollout_seconds_count", f"production={production}", f"result={result}"] == number
    assert counted["towpath_lead_seconds_count", "production=true"] == 1
    assert counted["towpath_lead_seconds_count", "production=false"] == 2


async def test_durations_have_bounds_in_seconds(serve: Serve, listen: str) -> None:
    async with serve(World(pipeline=pipeline(approvals=0))) as environment:
        await (await promote(environment, 1)).result()
        counted = await scrape(listen)
    bounds = {
        float(label.removeprefix("le="))
        for name, *labels in counted
        for label in labels
        if name == "towpath_rollout_seconds_bucket" and label.startswith("le=")
    }
    assert {1.0, 60.0, 1800.0} < bounds
    total = counted["towpath_rollout_seconds_sum", "production=true", "result=healthy"]
    assert 0 < total < 60


async def test_the_documentation_tells_every_metric_and_no_other(
    serve: Serve, temporal: WorkflowEnvironment, listen: str, tmp_path: Path
) -> None:
    waiting = {"environments": [{"name": "production", "waitingRelease": "hello-1"}]}
    parts = Parts(apiserver=FakeApiServer(component_object(observedGeneration=1) | {"status": waiting}))
    world = PreviewWorld(pipeline=pipeline(approvals=0), client=temporal.client)
    async with serve(world) as environment, serving(parts, tmp_path) as server:
        await announce(environment, request("open", 1))
        await ready(environment, 1)
        await deliver(environment, 1)
        await environment.client.get_workflow_handle(ids.promotion(KEY, world.releases[0].name)).result()
        await post_git(server, git_push())
        while not parts.starter.started:  # noqa: ASYNC110
            await asyncio.sleep(0)
        text = (await server.get("/metrics")).text
        async with httpx.AsyncClient() as client:
            text += (await client.get(f"http://{listen}/metrics")).text
    exported: dict[str, set[str]] = {}
    for name, labels in re.findall(
        r"^(towpath_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$", text, re.MULTILINE
    ):
        if not name.endswith("_created"):
            exported[name] = {*re.findall(r'(\w+)="', labels)} - SDK_LABELS - {"le"}
    # Only a guarded worker counts what it refuses; that it does is shown in tests/integration/test_signals.py.
    assert exported | GUARDS | ELSEWHERE == TOLD


def test_alerts_ask_for_labels_that_there_are() -> None:
    asked = re.findall(r"(towpath_\w+?)(?:_bucket)?\{(.*?)\}", ALERTS)
    assert len(asked) >= 3
    for name, labels in asked:
        assert set(re.findall(r"(\w+)=", labels)) <= TOLD[name]
