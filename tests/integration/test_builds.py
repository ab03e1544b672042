"""Builds on the real stack: Git server, Argo Workflows, pods, registry; with the build worker's own rights."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities import argo
from activities.apiserver import ApiServer
from activities.argo import BuildPlane
from activities.builds import Builds
from activities.registry import Registry
from deploy.local import images
from deploy.local.settings import Settings
from model.build import BuildRequest, BuildResult, SubmittedBuild
from model.commit import Commit
from model.component import BuildPlan, Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.source import SourceLocation
from tests.gitserver import Working

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

NODE = BuildPlan(kind="runtime", runtime="nodejs")
PYTHON = BuildPlan(kind="runtime", runtime="python")
SERVER = {"package.json": '{"scripts": {"start": "node server.js"}}', "server.js": "console.log('hello')"}


@dataclass
class Plane:
    """A build plane: its activities with the worker's rights, the administrator's view, and a repository."""

    settings: Settings
    builds: Builds
    registry: Registry
    worker: ApiServer
    admin: ApiServer
    folder: Path
    name: str = field(default_factory=lambda: f"it-{uuid4().hex[:8]}")
    started: list[SubmittedBuild] = field(default_factory=list)

    def request(self, files: dict[str, str], build: BuildPlan, **changed: Any) -> BuildRequest:
        """Push these files to a repository of this test and ask for their build."""
        url = f"{self.settings.git_url}/it/{self.name}.git"
        working = Working(self.folder, url)
        if not (self.folder / ".git").exists():
            subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(self.folder)], check=True)
        commit = working.commit(files)
        working.git("push", "--quiet", "--force", "--", url, "HEAD:refs/heads/main")
        component = Component(key=ComponentKey(name=self.name), source=SourceLocation(url=url), build=build)
        values = {"component": component, "commit": Commit(id=commit), "branch": "main", "sequence": 1}
        return BuildRequest.model_validate({**values, **changed})

    async def submit(self, request: BuildRequest) -> SubmittedBuild:
        submitted: SubmittedBuild = await ActivityEnvironment().run(self.builds.submit, request)
        self.started.append(submitted)
        return submitted

    async def watch(self, build: SubmittedBuild) -> BuildResult:
        result: BuildResult = await ActivityEnvironment().run(self.builds.watch, build)
        return result

    async def build(self, files: dict[str, str], build: BuildPlan) -> BuildResult:
        return await self.watch(await self.submit(self.request(files, build)))

    async def log(self, result: BuildResult) -> str:
        return (await self.registry.read_log(result.log)).decode()

    async def config(self, result: BuildResult) -> dict[str, Any]:
        """The image's configuration as the registry serves it."""
        assert result.image is not None
        path = result.image.repository.partition("/")[2]
        accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        async with httpx.AsyncClient(base_url=f"http://{self.settings.registry}/v2/{path}/") as client:
            manifest = await client.get(f"manifests/{result.image.digest}", headers={"Accept": accept})
            found = await client.get(f"blobs/{manifest.json()['config']['digest']}")
        config: dict[str, Any] = json.loads(found.content)["config"]
        return config


@pytest_asyncio.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    settings = Settings.from_environment()
    described = BuildPlane(
        registry=settings.registry,
        builders={
            "dockerfile": images.reference(settings, "builder"),
            "nodejs": images.reference(settings, "builder-nodejs"),
            "python": images.reference(settings, "builder-python"),
        },
        runtimes={name: images.reference(settings, f"runtime-{name}") for name in ("nodejs", "python")},
        hub=f"{settings.registry}/{images.HUB}",
        insecure=True,
    )
    worker = await ApiServer.connect(str(settings.kubeconfigs / "build.conf"))
    admin = await ApiServer.connect(str(settings.kubeconfig))
    registry = Registry(settings.registry, insecure=True)
    made = Plane(settings, Builds(worker, registry, described), registry, worker, admin, tmp_path / "source")
    yield made
    for build in made.started:
        await admin.delete(argo.API_VERSION, argo.KIND, build.name, build.namespace)
    await registry.close()
    await worker.close()
    await admin.close()


async def test_nodejs_application_without_dockerfile_becomes_an_image(plane: Plane) -> None:
    began = time.time()
    result = await plane.build({**SERVER, "workload.yaml": "endpoints: {}\n"}, NODE)
    assert (result.phase, result.failure) == ("succeeded", ""), result
    assert result.image is not None
    assert await plane.registry.digest_of(result.image.repository, result.image.digest) == result.image.digest
    assert result.workload.strip() == "endpoints: {}"  # Argo takes the last line's end off
    assert began - 2 < result.started_at <= result.finished_at < time.time() + 2
    config = await plane.config(result)
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["node", "server.js"]
    assert config["WorkingDir"] == "/app"
    assert "Starts with: node server.js" in await plane.log(result)


async def test_python_application_without_dockerfile_becomes_an_image(plane: Plane) -> None:
    result = await plane.build({"Procfile": "web: python main.py --port $PORT", "main.py": ""}, PYTHON)
    assert result.phase == "succeeded", result
    config = await plane.config(result)
    assert config["Entrypoint"] == ["/bin/sh", "-c", "python main.py --port $PORT"]
    assert config["User"] == "10001:10001"


async def test_dockerfile_with_steps_becomes_an_image(plane: Plane) -> None:
    steps = ("FROM debian:12-slim", "ARG GREETING", "RUN id -u && echo $GREETING >/greeting", "USER 10001")
    dockerfile = "\n".join((*steps, 'CMD ["cat"]\n'))
    plan = BuildPlan(kind="dockerfile", arguments={"GREETING": "{{workflow.name}} $(id)"})
    result = await plane.build({"Dockerfile": dockerfile}, plan)
    assert result.phase == "succeeded", result
    config = await plane.config(result)
    assert config["User"] == "10001"
    assert config["Labels"]["org.opencontainers.image.source"].endswith(f"{plane.name}.git")
    assert "STEP 3" in await plane.log(result)


@pytest.mark.parametrize(
    ("files", "plan", "reason", "words"),
    [
        ({"README": ""}, NODE, "NoStartCommand", "package.json"),
        ({"Dockerfile": "FROM debian:12-slim\nRUN echo before && exit 3\n"}, BuildPlan(), "DockerfileFailed", "3"),
        ({"Dockerfile": "FROM no/such:image\n"}, BuildPlan(), "BaseImageNotFound", "no/such:image"),
        ({"README": ""}, BuildPlan(file="../../etc/passwd"), "PathEscapes", "passwd"),
        ({"README": ""}, BuildPlan(file="docker/Dockerfile"), "PathNotFound", "docker/Dockerfile"),
    ],
)
async def test_failing_build_says_why_and_keeps_its_log(
    plane: Plane, files: dict[str, str], plan: BuildPlan, reason: str, words: str
) -> None:
    result = await plane.build(files, plan)
    assert (result.phase, result.failure, result.reason) == ("failed", "user", reason), result
    assert words in result.message
    assert reason in await plane.log(result)


async def test_same_attempt_submitted_twice_is_one_object(plane: Plane) -> None:
    request = plane.request(SERVER, NODE)
    first, second = await plane.submit(request), await plane.submit(request)
    assert first == second
    found = await plane.admin.list(argo.API_VERSION, argo.KIND, labels=f"openchoreo.dev/component={plane.name}")
    assert [each["metadata"]["uid"] for each in found] == [first.uid]


async def test_watch_begun_anew_finds_the_same_end_and_log(plane: Plane) -> None:
    submitted = await plane.submit(plane.request(SERVER, NODE))
    first = asyncio.create_task(plane.watch(submitted))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second, third = await plane.watch(submitted), await plane.watch(submitted)
    assert second.phase == third.phase == "succeeded"
    assert second.image == third.image
    assert await plane.log(second) == await plane.log(third)
    assert (await plane.log(second)).count("==> Fetching") == 1


async def test_builds_of_a_branch_see_each_other_and_can_be_stopped(plane: Plane) -> None:
    sleeping = {"Dockerfile": "FROM debian:12-slim\nRUN sleep 120\n"}
    older = plane.request(sleeping, BuildPlan(), sequence=10)
    submitted = await plane.submit(older)
    newer = plane.request({**sleeping, "more": ""}, BuildPlan(), sequence=20)
    last = await plane.submit(newer)
    seen = await plane.builds.older(newer)
    assert seen.older == (f"build/default/{plane.name}/{older.commit.id}/1",)
    assert seen.newer == ""
    assert (await plane.builds.older(older)).newer == f"build/default/{plane.name}/{newer.commit.id}/1"
    await plane.builds.stop(submitted)
    result = await plane.watch(submitted)
    assert (result.phase, result.failure) == ("cancelled", "")
    assert (await plane.builds.older(newer)).older == ()
    await plane.builds.stop(last)
    await plane.builds.stop(last.model_copy(update={"name": "never-was"}))


async def test_deleted_build_is_reported_and_not_waited_for(plane: Plane) -> None:
    submitted = await plane.submit(plane.request(SERVER, NODE))
    await plane.admin.delete(argo.API_VERSION, argo.KIND, submitted.name, submitted.namespace)
    result = await plane.watch(submitted)
    assert (result.phase, result.failure, result.reason) == ("failed", "infrastructure", "BuildVanished")


async def test_pods_have_no_privilege_and_no_token(plane: Plane) -> None:
    files = {"Dockerfile": "FROM debian:12-slim\nRUN sleep 60\n"}
    submitted = await plane.submit(plane.request(files, BuildPlan()))
    pod: dict[str, Any] | None = None
    while pod is None:
        pod = await plane.admin.get("v1", "Pod", submitted.name, submitted.namespace)
        await asyncio.sleep(0.1)
    await plane.builds.stop(submitted)
    namespace = await plane.admin.get("v1", "Namespace", submitted.namespace)
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    (main,) = [each for each in pod["spec"]["containers"] if each["name"] == "main"]
    security = main["securityContext"]
    assert not security.get("privileged")
    assert not security.get("capabilities", {}).get("add")
    assert not [mount for mount in main["volumeMounts"] if "serviceaccount" in mount["mountPath"]]
    assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]


async def test_worker_reads_no_secrets_and_nothing_elsewhere(plane: Plane) -> None:
    with pytest.raises(UserFailure, match="secrets"):
        await plane.worker.list("v1", "Secret", "towpath-build-plane")
    with pytest.raises(UserFailure):
        await plane.worker.list("v1", "Pod", "towpath-control-plane")
