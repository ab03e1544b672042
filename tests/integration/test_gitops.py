"""A rollout by way of Git, with the real Flux: forward, back by a revert, and never by our own hand."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
import yaml
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.apiserver import ApiServer
from activities.cluster import Cluster
from activities.gitops import GitOpsRepositories
from activities.reconciliation import Reconciliation
from activities.verification import Verification
from deploy.local.catalogue import test_server_path as server_path
from deploy.local.settings import Settings
from model import ids
from model.failure import NotFound, UserFailure
from model.gitops_policy import Controller, GitOps
from model.image import Image
from model.release import Release
from model.rollout import RolloutRequest, RolloutResult
from model.workload import Workload
from tests.integration.images import busybox
from tests.rollouts import HTTP, request, with_policy
from tests.workflows.attributes import add_search_attributes
from worker.failures import FailureInterceptor
from worker.planes import activities_of
from workflows.rollout import Rollout

pytestmark = pytest.mark.stack

SERVES = "mkdir -p /tmp/w && echo {} >/tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w"
FILE = "apps/kustomization.yaml"
KUSTOMIZATION = """\
resources: [web.yaml]
images:
  - name: web # ours
    newName: {0.repository}
    digest: {0.digest}
"""
APPS = {
    "apps/web.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      containers:
        - name: main
          image: web
          ports: [{containerPort: 8080}]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
"""
}
Object = dict[str, Any]


class NoSecrets:
    async def basic(self, _namespace: str, _secret: str) -> tuple[str, str] | None:
        raise NotFound("SecretNotFound", "none")


class Ground:
    """A namespace that Flux fills from a repository, and a worker that runs rollouts into it."""

    def __init__(self, settings: Settings, admin: ApiServer, client: Client, folder: Path) -> None:
        self.name = f"test-gitops-{uuid4().hex[:8]}"
        self.url = f"{settings.git_url}/{self.name}.git"
        self.admin = admin
        self.client = client
        self.folder = folder
        self.planes: dict[str, tuple[object, ...]] = {}
        self._revision = 0

    @asynccontextmanager
    async def working(self, mortal: bool = False) -> AsyncIterator[None]:
        """Workers of both planes, until the end of the block: then they are gone, whatever they were at.

        Mortal ones cache nothing: the test server does not hand a dead worker's sticky tasks to another.
        """
        async with AsyncExitStack() as stack:
            for queue, instances in self.planes.items():
                worker = Worker(
                    self.client,
                    task_queue=queue,
                    workflows=[Rollout] if queue == ids.CONTROL_QUEUE else [],
                    activities=[method for instance in instances for method in activities_of(instance)],
                    interceptors=[FailureInterceptor()],
                    max_cached_workflows=0 if mortal else 100,
                    max_heartbeat_throttle_interval=timedelta(milliseconds=500),
                    default_heartbeat_throttle_interval=timedelta(milliseconds=500),
                )
                await stack.enter_async_context(worker)
            yield

    async def git(self, *arguments: str) -> str:
        people = {
            f"GIT_{who}_{what}": f"ann@{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = await asyncio.to_thread(
            subprocess.run,
            ["git", "-C", str(self.folder), *arguments],
            env={**os.environ, **people},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    async def commit(self, files: dict[str, str], message: str = "by a person") -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        await self.git("add", "--all")
        await self.git("commit", "--quiet", "-m", message)
        await self.git("push", "--quiet", "--", self.url, "HEAD:refs/heads/main")

    async def log(self) -> list[str]:
        """Subjects of the branch on the server, newest first."""
        await self.git("fetch", "--quiet", self.url, "main")
        return (await self.git("log", "--format=%s", "FETCH_HEAD")).splitlines()

    async def said(self) -> str:
        """The digest that Git says."""
        await self.git("fetch", "--quiet", self.url, "main")
        text = await self.git("show", f"FETCH_HEAD:{FILE}")
        return str(yaml.safe_load(text)["images"][0]["digest"])

    async def run_only(self, image: Image) -> None:
        """Wait until the namespace's pods run this image and no other."""
        async with asyncio.timeout(60):
            while True:
                pods = await self.admin.list("v1", "Pod", self.name)
                there = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
                if {pod["spec"]["containers"][0]["image"] for pod in there} == {image.reference}:
                    return
                await asyncio.sleep(0.2)

    def release(self, image: Image) -> Release:
        return self._request(image).release

    async def begin(
        self, image: Image, last_good: Release | None = None
    ) -> WorkflowHandle[Rollout, RolloutResult]:
        self._revision += 1
        asked = self._request(image).model_copy(update={"last_good": last_good, "revision": self._revision})
        return await self.client.start_workflow(
            Rollout.run,
            asked,
            id=f"rollout/default/web/development/{self._revision}",
            task_queue=ids.CONTROL_QUEUE,
        )

    async def roll_out(self, image: Image, last_good: Release | None = None) -> RolloutResult:
        async with self.working():
            return await (await self.begin(image, last_good)).result()

    async def fill(self) -> None:
        """The namespace, the repository in Flux, and what Flux may do in it."""
        edit = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
        applier = {"kind": "ServiceAccount", "name": "flux-applier", "namespace": self.name}
        source = {"kind": "GitRepository", "name": "apps"}
        for obj in (
            {"apiVersion": "v1", "kind": "Namespace"},
            {"apiVersion": "v1", "kind": "ServiceAccount"},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "roleRef": edit,
                "subjects": [applier],
            },
            {
                "apiVersion": "source.toolkit.fluxcd.io/v1",
                "kind": "GitRepository",
                "spec": {"url": self.url, "interval": "10m", "ref": {"branch": "main"}},
            },
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "spec": {
                    "interval": "10m", "path": "./apps", "prune": True, "targetNamespace": self.name,
                    "sourceRef": source, "timeout": "20s", "retryInterval": "2s",
                },
            },
        ):  # fmt: skip
            cluster_wide = obj["kind"] == "Namespace"
            name = {"Namespace": self.name, "ServiceAccount": "flux-applier"}.get(str(obj["kind"]), "apps")
            await self.admin.create(
                {**obj, "metadata": {"name": name, **({} if cluster_wide else {"namespace": self.name})}}
            )

    async def clear(self) -> None:
        await self.admin.delete("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "apps", self.name)
        await self.admin.delete("v1", "Namespace", self.name)

    def _request(self, image: Image) -> RolloutRequest:
        asked = request(
            Workload(endpoints=(HTTP,)), image=image, commit=image.digest[7:47], stability=1, deadline=120
        )
        gitops = GitOps(
            url=self.url, path=FILE, write="kustomizeImage", image="web", workload_namespace=self.name,
            controller=Controller(name="apps", namespace=self.name), wait_seconds=120,
        )  # fmt: skip
        return with_policy(asked, gitops=gitops)


@pytest_asyncio.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    settings = Settings.from_environment()
    admin = await ApiServer.connect(str(settings.kubeconfig))
    data = await ApiServer.connect(str(settings.kubeconfigs / "data.conf"))
    folder = tmp_path / "person"
    folder.mkdir()
    control = (GitOpsRepositories(tmp_path / "mirrors", NoSecrets()),)
    plane = (Cluster(data), Verification(data), Reconciliation(data))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server_path()), data_converter=pydantic_data_converter
    ) as environment:
        await add_search_attributes(environment.client)
        made = Ground(settings, admin, environment.client, folder)

        made.planes = {ids.CONTROL_QUEUE: control, ids.data_queue("default"): plane}
        try:
            await made.git("init", "--quiet", "--initial-branch=main")
            await made.fill()
            yield made
        finally:
            await made.clear()
            await data.close()
            await admin.close()


async def test_flux_runs_what_was_written_and_a_release_that_crashes_is_reverted_in_git(ground: Ground) -> None:
    settings = Settings.from_environment()
    first, second, broken = [
        await asyncio.to_thread(busybox, settings, ("sh", "-c", script))
        for script in (SERVES.format("one"), SERVES.format("two"), "echo no migration; exit 1")
    ]
    await ground.commit({**APPS, FILE: KUSTOMIZATION.format(first)})

    begun = await ground.roll_out(first)
    assert (begun.result, await ground.log()) == ("healthy", ["by a person"]), begun

    forward = await ground.roll_out(second, ground.release(first))
    assert forward.result == "healthy", forward
    await ground.run_only(second)
    assert len(await ground.log()) == 2

    back = await ground.roll_out(broken, ground.release(second))
    assert back.result == "rolled-back", back
    assert back.verdict.health == "unhealthy"
    assert await ground.said() == second.digest
    await ground.run_only(second)
    assert len(await ground.log()) == 4

    deployment = await ground.admin.get("apps/v1", "Deployment", "web", ground.name)
    assert deployment is not None
    writers = {entry["manager"] for entry in deployment["metadata"]["managedFields"]}
    assert writers == {"kustomize-controller", "kube-controller-manager"}


async def test_workers_that_die_after_each_commit_leave_a_saga_that_others_finish(ground: Ground) -> None:
    settings = Settings.from_environment()
    first, broken = [
        await asyncio.to_thread(busybox, settings, ("sh", "-c", script))
        for script in (SERVES.format("one"), "echo no migration; exit 1")
    ]
    await ground.commit({**APPS, FILE: KUSTOMIZATION.format(first)})
    assert (await ground.roll_out(first)).result == "healthy"

    saga = await ground.begin(broken, ground.release(first))
    for commits in (2, 3):
        async with ground.working(mortal=True):
            while len(await ground.log()) < commits:  # noqa: ASYNC110  (Git has no event to await here)
                await asyncio.sleep(0.1)
    async with ground.working(mortal=True):
        ended = await saga.result()
    assert ended.result == "rolled-back", ended
    assert len(await ground.log()) == 3
    assert await ground.said() == first.digest
    await ground.run_only(first)


async def test_what_flux_cannot_build_is_told_by_its_own_reason_and_taken_back(ground: Ground) -> None:
    image = await asyncio.to_thread(busybox, Settings.from_environment(), ("sh", "-c", SERVES.format("one")))
    broken = "resources: [web.yaml, absent.yaml]\nimages:\n  - name: web\n"
    await ground.commit({**APPS, FILE: broken})
    ended = await ground.roll_out(image)
    assert (ended.result, ended.verdict.reason) == ("failed", "BuildFailed"), ended
    assert "absent.yaml" in ended.verdict.message
    await ground.git("fetch", "--quiet", ground.url, "main")
    assert await ground.git("show", f"FETCH_HEAD:{FILE}") == broken.strip()


@pytest_asyncio.fixture
async def planes() -> AsyncIterator[tuple[ApiServer, ApiServer]]:
    """The administrator's and the data worker's view."""
    settings = Settings.from_environment()
    admin = await ApiServer.connect(str(settings.kubeconfig))
    data = await ApiServer.connect(str(settings.kubeconfigs / "data.conf"))
    yield admin, data
    await data.close()
    await admin.close()


async def test_a_worker_may_ask_flux_to_look_and_may_not_say_what_it_applies(
    planes: tuple[ApiServer, ApiServer],
) -> None:
    admin, data = planes
    kind = ("source.toolkit.fluxcd.io/v1", "GitRepository")
    name, spec = f"test-{uuid4().hex[:8]}", {"url": "http://git.test/a.git", "interval": "10m", "suspend": True}
    metadata = {"name": name, "namespace": "default"}
    await admin.create({"apiVersion": kind[0], "kind": kind[1], "metadata": metadata, "spec": spec})
    try:
        asked = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
        await data.merge(*kind, name, "default", asked)
        with pytest.raises(UserFailure, match="not its to change"):
            await data.merge(*kind, name, "default", {"spec": {"url": "http://git.test/other.git"}})
    finally:
        await admin.delete(*kind, name, "default")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"path": "../outside.yaml"}, "spec.gitops.path"),
        ({"path": "a/../b.yaml"}, "may not leave the repository"),
        ({"path": "a/.git/config"}, "may not leave the repository"),
        ({"write": "helmValue"}, "helmValue needs key"),
        ({"image": None}, "kustomizeImage needs image"),
        ({"repository": {"url": "https://me:secret@git.example/x.git"}}, "put credentials into a Secret"),
        ({"controller": {"kind": "Job", "name": "x"}}, "spec.gitops.controller.kind"),
    ],
)
async def test_rules_that_cannot_work_are_refused_when_they_are_applied(
    planes: tuple[ApiServer, ApiServer], changed: Object, said: str
) -> None:
    rules: Object = {
        "repository": {"url": "https://git.example/ops.git"}, "path": "a.yaml", "write": "kustomizeImage",
        "image": "web", "controller": {"name": "apps"},
    }  # fmt: skip
    stated = {key: value for key, value in {**rules, **changed}.items() if value is not None}
    policy = {
        "apiVersion": "towpath.dev/v1alpha1", "kind": "PromotionPolicy",
        "metadata": {"name": "test-gitops", "namespace": "default"}, "spec": {"gitops": stated},
    }  # fmt: skip
    with pytest.raises(UserFailure, match=said):
        await planes[0].apply(policy, "test", dry_run=True)
