"""Jobs on the real cluster, as the data plane's worker with its own rights."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.jobs import Jobs
from model import labels
from model.job import JobRequest, JobResult
from model.manifests.metadata import selector
from model.rollout import RolloutRequest
from model.workload import Dependency, Endpoint, File, Variable
from tests.integration import test_cluster
from tests.integration.test_cluster import SERVES, Plane, eventually

pytestmark = pytest.mark.stack
plane = test_cluster.plane
Object = dict[str, Any]


@pytest.fixture
def jobs(plane: Plane) -> Jobs:
    return Jobs(plane.worker)


def ask(asked: RolloutRequest, script: str, **more: Any) -> JobRequest:
    """A Job that runs this script with the release's image."""
    stated = {"id": uuid4().hex, "name": "migrate", "target": asked.target, "release": asked.release}
    return JobRequest.model_validate({**stated, "command": ("sh", "-c", script), **more})


async def run(jobs: Jobs, request: JobRequest) -> JobResult:
    return await asyncio.wait_for(ActivityEnvironment().run(jobs.run, request), 90)


async def pods(plane: Plane, result: JobResult) -> list[Object]:
    chosen = f"batch.kubernetes.io/job-name={result.job}"
    return await plane.admin.list("v1", "Pod", result.namespace, labels=chosen)


async def test_a_job_runs_once_as_the_release_does_however_often_it_is_asked_for(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(
        SERVES,
        variables=(Variable(name="GREETING", value="hello"), Variable(name="PASSWORD", secret="db", key="word")),
        files=(File(path="/etc/app.conf", value="from a file"),),
    )
    request = ask(
        asked,
        'echo "$GREETING $TOWPATH_RELEASE $EXTRA ${#PASSWORD}"; cat /etc/app.conf',
        variables=(Variable(name="EXTRA", value="besides"),),
    )
    running = asyncio.create_task(run(jobs, request))
    # The namespace is made by the Job itself: nothing was deployed here before. The Secret comes late.
    await eventually(lambda: plane.admin.get("v1", "Namespace", asked.target.namespace))
    secret = {"metadata": {"name": "db", "namespace": asked.target.namespace}, "stringData": {"word": "12345"}}
    await plane.admin.create({"apiVersion": "v1", "kind": "Secret", **secret})
    first = await running
    assert (first.result, first.exit_code) == ("succeeded", 0), first
    assert first.log.splitlines()[:2] == [f"hello {asked.release.name} besides 5", "from a file"]
    again = await run(jobs, request)
    assert again == first
    (pod,) = await pods(plane, first)
    assert pod["spec"]["automountServiceAccountToken"] is False
    # Neither the Service nor the Deployment of the component may take it for one of its own.
    assert not selector(asked.target).items() <= pod["metadata"]["labels"].items()


async def test_a_failing_job_is_tried_as_often_as_wanted_and_tells_its_last_lines(
    plane: Plane, jobs: Jobs
) -> None:
    script = "n=0; while [ $n -lt 50 ]; do echo line $n; n=$((n+1)); done; echo no such table; exit 7"
    result = await run(jobs, ask(plane.ask(SERVES), script, retries=1))
    assert (result.result, result.reason, result.exit_code) == ("failed", "JobFailed", 7)
    lines = result.log.splitlines()
    assert (len(lines), lines[-1]) == (20, "no such table")
    assert len(await pods(plane, result)) == 2


async def test_a_job_past_its_deadline_is_stopped_and_its_log_kept(plane: Plane, jobs: Jobs) -> None:
    request = ask(plane.ask(SERVES), "echo began; exec sleep 1000", deadline_seconds=3)
    result = await run(jobs, request)
    assert (result.result, result.reason) == ("failed", "DeadlineExceeded")
    assert result.log == "began"


async def test_a_job_that_can_never_start_is_told_and_stopped(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(SERVES, variables=(Variable(name="DB", secret="absent", key="url"),))
    request = ask(asked, "true")
    result = await run(jobs, request)
    assert (result.result, result.reason) == ("failed", "ContainerConfigError")
    assert '"absent" not found' in result.message
    assert not [pod for pod in await pods(plane, result) if pod["status"]["phase"] in ("Pending", "Running")]
    assert await run(jobs, request) == result


async def test_a_cancelled_job_has_ended_when_the_cancellation_is_answered(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(SERVES)
    environment = ActivityEnvironment()
    running = asyncio.create_task(environment.run(jobs.run, ask(asked, "exec sleep 1000")))
    await eventually(lambda: _running(plane, asked.target.namespace))
    environment.cancel(cancellation_details=ActivityCancellationDetails(cancel_requested=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not await _running(plane, asked.target.namespace)
    (job,) = await plane.admin.list("batch/v1", "Job", asked.target.namespace)
    assert job["metadata"]["annotations"][labels.STOPPED].startswith("Cancelled")


async def test_a_worker_that_dies_finds_the_same_job_again(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(SERVES)
    request = ask(asked, "sleep 3; echo done")
    environment = ActivityEnvironment()
    running = asyncio.create_task(environment.run(jobs.run, request))
    await eventually(lambda: _running(plane, asked.target.namespace))
    environment.cancel(cancellation_details=ActivityCancellationDetails(worker_shutdown=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    result = await run(Jobs(plane.worker), request)
    assert (result.result, result.log) == ("succeeded", "done")
    assert len(await pods(plane, result)) == 1


async def test_a_job_that_somebody_deletes_is_never_a_success_and_not_run_again(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(SERVES)
    request = ask(asked, "exec sleep 1000")
    running = asyncio.create_task(run(jobs, request))
    await eventually(lambda: _running(plane, asked.target.namespace))
    (job,) = await plane.admin.list("batch/v1", "Job", asked.target.namespace)
    await plane.admin.delete("batch/v1", "Job", job["metadata"]["name"], asked.target.namespace)
    result = await running
    assert (result.result, result.reason) == ("unknown", "JobGone")
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=[{"job": job["metadata"]["uid"]}])
    assert (await environment.run(jobs.run, request)).reason == "JobGone"
    assert await plane.admin.list("batch/v1", "Job", asked.target.namespace) == []


async def test_a_job_reaches_the_releases_dependencies_and_nothing_else(plane: Plane, jobs: Jobs) -> None:
    database = plane.ask(SERVES, component="api", endpoints=(Endpoint(name="http", port=80, target_port=8080),))
    assert (await plane.deploy(database)).passed
    host = f"api.{database.target.namespace}.svc"
    fetch = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 10 {host} 80"
    calls = plane.ask(SERVES, dependencies=(Dependency(component="api", endpoint="http", host_variable="API"),))
    reached = await run(jobs, ask(calls, f'echo "$API"; {fetch}'))
    assert reached.result == "succeeded", reached
    assert (reached.log.splitlines()[0], reached.log.splitlines()[-1]) == (host, "fine")
    kept_out = await run(jobs, ask(plane.ask(SERVES), fetch))
    assert kept_out.result == "failed"


async def test_removing_a_component_removes_its_jobs(plane: Plane, jobs: Jobs) -> None:
    asked = plane.ask(SERVES, files=(File(path="/etc/app.conf", value="a"),))
    result = await run(jobs, ask(asked, "true"))
    assert result.result == "succeeded"
    await plane.remove(asked)
    await eventually(lambda: _gone(plane, asked.target.namespace), 60)


async def _running(plane: Plane, namespace: str) -> bool:
    return any(pod["status"]["phase"] == "Running" for pod in await plane.admin.list("v1", "Pod", namespace))


async def _gone(plane: Plane, namespace: str) -> bool:
    return await plane.admin.get("v1", "Namespace", namespace) is None
