"""Deploying components on the real API server, as the data plane's worker with its own rights."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.apiserver import ApiServer
from activities.cluster import Cluster
from activities.verification import Verification
from deploy.local.settings import Settings
from model import labels
from model.check import HttpCheck
from model.failure import Conflict, InfrastructureFailure, UserFailure
from model.image import Image
from model.manifests import bundle
from model.rollout import Applied, RolloutRequest
from model.verdict import Verdict
from model.workload import Dependency, Endpoint, File, Variable, Workload
from tests.integration.images import busybox
from tests.rollouts import HTTP, request, with_policy

pytestmark = pytest.mark.stack

SERVES = "mkdir -p /tmp/www && echo fine >/tmp/www/index.html && exec httpd -f -p $PORT -h /tmp/www"
ANSWERS_500 = (
    "mkdir -p /tmp/www/cgi-bin && printf '#!/bin/sh\\nprintf \"Status: 500\\\\r\\\\n\\\\r\\\\nno database\"\\n' "
    ">/tmp/www/cgi-bin/healthz && chmod +x /tmp/www/cgi-bin/healthz && exec httpd -f -p $PORT -h /tmp/www"
)
Object = dict[str, Any]


@dataclass
class Plane:
    """A data plane: its activities with the worker's rights, and the administrator's view of it."""

    cluster: Cluster
    verification: Verification
    worker: ApiServer
    admin: ApiServer
    image: Image
    project: str
    fence: int = 0

    def ask(
        self, script: str, *, kind: Any = "service", image: Image | None = None, **more: Any
    ) -> RolloutRequest:
        """A request for a release that runs this script; each is a later one."""
        self.fence += 2
        rules = {name: more.pop(name) for name in ("stability", "deadline", "checks", "component") if name in more}
        endpoints = more.pop("endpoints", (HTTP,))
        workload = Workload(kind=kind, command=("sh", "-c", script), endpoints=endpoints, **more)
        return request(
            workload,
            image=image or self.image,
            project=self.project,
            commit=f"{self.fence:040x}",
            revision=self.fence // 2,
            fence=self.fence,
            **rules,
        )

    async def apply(self, asked: RolloutRequest) -> Applied:
        return await ActivityEnvironment().run(self.cluster.apply, asked)

    async def deploy(self, asked: RolloutRequest) -> Verdict:
        return await ActivityEnvironment().run(self.cluster.watch, await self.apply(asked))

    async def verify(self, asked: RolloutRequest) -> Verdict:
        return await ActivityEnvironment().run(self.verification.verify, asked)

    async def remove(self, asked: RolloutRequest) -> None:
        await ActivityEnvironment().run(self.cluster.remove, asked.target)


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[Plane]:
    """A plane with a project of its own, whose namespace goes with the test."""
    settings = Settings.from_environment()
    worker = await ApiServer.connect(str(settings.kubeconfigs / "data.conf"))
    admin = await ApiServer.connect(str(settings.kubeconfig))
    made = Plane(
        cluster=Cluster(worker),
        verification=Verification(worker),
        worker=worker,
        admin=admin,
        image=await asyncio.to_thread(busybox, settings),
        project=f"t{uuid4().hex[:8]}",
    )
    try:
        yield made
    finally:
        await admin.delete("v1", "Namespace", made.ask(SERVES).target.namespace)
        await worker.close()
        await admin.close()


async def objects(plane: Plane, asked: RolloutRequest) -> dict[tuple[str, str], Object]:
    """What the component consists of in the cluster."""
    chosen = f"{labels.COMPONENT}={asked.release.component.name}"
    return {
        (kind, obj["metadata"]["name"]): obj
        for version, kind in bundle.COMPONENT_KINDS
        for obj in await plane.admin.list(version, kind, asked.target.namespace, labels=chosen)
    }


async def eventually(holds: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until it holds; fails after that many seconds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  (the cluster has no event to await here)
            await asyncio.sleep(0.1)


async def test_a_good_release_is_healthy_and_verified_through_its_service(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    verdict = await plane.deploy(asked)
    assert (verdict.health, verdict.reason) == ("healthy", "RolloutStable")
    checked = await plane.verify(asked)
    assert (checked.health, checked.reason) == ("healthy", "HealthCheckPassed")
    assert "answered 200 to GET /" in checked.message


async def test_applying_twice_changes_nothing(plane: Plane) -> None:
    asked = plane.ask(SERVES, replicas=2, files=(File(path="/etc/app.conf", value="a"),))
    first = await plane.apply(asked)
    before = {key: obj["metadata"].get("generation") for key, obj in (await objects(plane, asked)).items()}
    second = await plane.apply(asked)
    after = {key: obj["metadata"].get("generation") for key, obj in (await objects(plane, asked)).items()}
    assert first == second
    assert before == after
    assert len(await plane.admin.list("apps/v1", "ReplicaSet", asked.target.namespace)) == 1


async def test_what_is_no_longer_wanted_is_removed_and_what_is_others_stays(plane: Plane) -> None:
    asked = plane.ask(SERVES, replicas=2, files=(File(path="/etc/app.conf", value="a"),))
    await plane.apply(asked)
    own = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mine", "namespace": asked.target.namespace},
    }
    await plane.admin.create(own)
    other = plane.ask(SERVES, component="api")
    await plane.apply(other)
    others = {"CronJob", "Rollout"}
    assert {kind for kind, _ in await objects(plane, asked)} == {
        kind for _, kind in bundle.COMPONENT_KINDS
    } - others
    slim = plane.ask("sleep 1000", kind="worker")
    assert (await plane.deploy(slim)).passed
    # Files of the release before go once no pod mounts them any more.
    await eventually(lambda: _gone(plane, asked.target.namespace, "web-files"))
    await plane.apply(slim)
    assert {kind for kind, _ in await objects(plane, slim)} == {"Deployment", "NetworkPolicy", "ServiceAccount"}
    assert await plane.admin.get("v1", "ConfigMap", "mine", asked.target.namespace) is not None
    assert await plane.admin.get("v1", "Service", "api", asked.target.namespace) is not None


async def _gone(plane: Plane, namespace: str, config: str) -> bool:
    pods = await plane.admin.list("v1", "Pod", namespace)
    mounted = [
        volume.get("configMap", {}).get("name", "") for pod in pods for volume in pod["spec"].get("volumes", [])
    ]
    return not any(name.startswith(config) for name in mounted)


async def test_a_crash_loop_ends_in_seconds_and_the_last_good_serves_on(plane: Plane) -> None:
    good = plane.ask(SERVES)
    assert (await plane.deploy(good)).passed
    bad = plane.ask("echo no database; exit 3")
    started = time.monotonic()
    verdict = await plane.deploy(bad)
    assert (verdict.health, verdict.reason) == ("unhealthy", "CrashLoop")
    assert "exited with code 3" in verdict.message
    assert "no database" in verdict.message
    back = good.model_copy(update={"revision": bad.revision, "fence": bad.fence + 1})
    assert (await plane.deploy(back)).passed
    assert time.monotonic() - started < 10
    assert (await plane.verify(back)).passed
    (deployment,) = await plane.admin.list("apps/v1", "Deployment", good.target.namespace)
    assert deployment["metadata"]["annotations"][labels.RELEASE] == good.release.name


async def test_an_image_that_cannot_be_pulled_is_told_before_the_deadline(plane: Plane) -> None:
    registry = Settings.from_environment().registry
    missing = Image(repository=f"{registry}/{plane.project}/none", digest="sha256:" + "0" * 64)
    started = time.monotonic()
    verdict = await plane.deploy(plane.ask(SERVES, image=missing))
    assert (verdict.health, verdict.reason) == ("unhealthy", "ImagePullFailed")
    assert missing.digest in verdict.message
    assert time.monotonic() - started < 45


async def test_a_secret_that_is_missing_is_named(plane: Plane) -> None:
    verdict = await plane.deploy(plane.ask(SERVES, variables=(Variable(name="DB", secret="db-login", key="url"),)))
    assert (verdict.health, verdict.reason) == ("unhealthy", "ContainerConfigError")
    assert '"db-login" not found' in verdict.message


async def test_a_command_that_does_not_exist_is_told(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    wrong = asked.release.workload.model_copy(update={"command": ("nosuch",)})
    asked = asked.model_copy(update={"release": asked.release.model_copy(update={"workload": wrong})})
    verdict = await plane.deploy(asked)
    assert (verdict.health, verdict.reason) == ("unhealthy", "RunContainerError")
    assert "nosuch" in verdict.message


async def test_a_process_that_does_not_listen_is_unhealthy_at_the_deadline(plane: Plane) -> None:
    verdict = await plane.deploy(plane.ask("exec sleep 1000", deadline=5))
    assert (verdict.health, verdict.reason) == ("unhealthy", "DeadlineExceeded")
    assert "does the process listen" in verdict.message


async def test_too_much_for_the_nodes_is_unschedulable(plane: Plane) -> None:
    verdict = await plane.deploy(plane.ask(SERVES, cpu_request="30", cpu_limit="30"))
    assert (verdict.health, verdict.reason) == ("unhealthy", "Unschedulable")
    assert "Insufficient cpu" in verdict.message


async def test_the_quota_refuses_in_seconds_and_a_smaller_release_then_does_well(plane: Plane) -> None:
    assert (await plane.deploy(plane.ask(SERVES))).passed
    large = plane.ask(SERVES, cpu_request="200", cpu_limit="200")
    verdict = await plane.deploy(large)
    assert (verdict.health, verdict.reason) == ("unhealthy", "QuotaExceeded")
    assert (await plane.deploy(plane.ask(SERVES, cpu_request="60m"))).passed


async def test_an_operators_quota_stays_as_edited(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    await plane.apply(asked)
    patch = {"spec": {"hard": {"pods": "3"}}}
    await plane.admin.merge("v1", "ResourceQuota", "towpath", asked.target.namespace, patch)
    await plane.apply(plane.ask(SERVES))
    quota = await plane.admin.get("v1", "ResourceQuota", "towpath", asked.target.namespace)
    assert quota is not None
    assert quota["spec"]["hard"]["pods"] == "3"


async def test_a_health_endpoint_that_answers_500_is_unhealthy_with_its_words(plane: Plane) -> None:
    check = HttpCheck(path="/cgi-bin/healthz", interval_seconds=0.1)
    asked = with_policy(plane.ask(ANSWERS_500), checks=(check,))
    assert (await plane.deploy(asked)).passed
    verdict = await plane.verify(asked)
    assert (verdict.health, verdict.reason) == ("unhealthy", "HealthCheckFailed")
    assert "answered 500 to GET /cgi-bin/healthz: no database" in verdict.message


async def test_an_endpoint_that_nobody_listens_on_is_inconclusive(plane: Plane) -> None:
    endpoints = (HTTP, Endpoint(name="admin", port=9090))
    asked = plane.ask(SERVES, endpoints=endpoints)
    assert (await plane.deploy(asked)).passed
    verdict = await plane.verify(asked)
    assert (verdict.health, verdict.reason) == ("inconclusive", "HealthCheckUnreachable")
    assert "admin" in verdict.message


async def test_another_releases_pods_are_never_taken_for_this_one(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.verification.ENDPOINTS_SECONDS", 2.0)
    running = plane.ask(SERVES)
    assert (await plane.deploy(running)).passed
    verdict = await plane.verify(plane.ask(SERVES))
    assert (verdict.health, verdict.reason) == ("inconclusive", "EndpointsNotReady")


async def test_changes_by_others_during_the_rollout_are_told(plane: Plane) -> None:
    applied = await plane.apply(plane.ask("exec sleep 1000"))
    watching = asyncio.create_task(ActivityEnvironment().run(plane.cluster.watch, applied))
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "somebody/else:1"}]}}}}
    # A JSON merge patch replaces the list: exactly what `kubectl edit` does to it.
    await plane.admin.merge("apps/v1", "Deployment", applied.name, applied.namespace, patch)
    verdict = await asyncio.wait_for(watching, 10)
    assert (verdict.health, verdict.reason) == ("inconclusive", "ChangedUnderneath")
    assert "somebody/else:1" in verdict.message


async def test_a_deployment_deleted_during_the_rollout_is_told(plane: Plane) -> None:
    applied = await plane.apply(plane.ask("exec sleep 1000"))
    watching = asyncio.create_task(ActivityEnvironment().run(plane.cluster.watch, applied))
    await plane.admin.delete("apps/v1", "Deployment", applied.name, applied.namespace)
    assert (await asyncio.wait_for(watching, 10)).reason == "DeploymentGone"


async def test_a_late_write_of_an_earlier_step_is_refused(plane: Plane) -> None:
    earlier = plane.ask(SERVES)
    later = plane.ask(SERVES)
    await plane.apply(later)
    with pytest.raises(Conflict) as failure:
        await plane.apply(earlier)
    assert failure.value.reason == "Outdated"


async def test_the_api_servers_own_words_reach_the_user(plane: Plane) -> None:
    with pytest.raises(UserFailure) as failure:
        await plane.apply(plane.ask(SERVES, cpu_request="lots"))
    assert failure.value.message
    assert "quantit" in failure.value.message


async def test_a_dependency_is_injected_and_must_run_first(plane: Plane) -> None:
    dependency = Dependency(component="api", endpoint="http", address_variable="API_URL")
    calls = plane.ask('wget -q -O /dev/null "$API_URL" && ' + SERVES, dependencies=(dependency,))
    with pytest.raises(UserFailure) as failure:
        await plane.apply(calls)
    assert failure.value.reason == "DependencyMissing"
    assert (await plane.deploy(plane.ask(SERVES, component="api"))).passed
    await plane.apply(calls)
    (deployment,) = await plane.admin.list(
        "apps/v1", "Deployment", calls.target.namespace, labels=f"{labels.COMPONENT}=web"
    )
    told = {
        entry["name"]: entry["value"] for entry in deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert told["API_URL"] == f"http://api.{calls.target.namespace}.svc:80"


async def test_a_scheduled_task_is_healthy_once_a_node_has_its_image_without_having_run(plane: Plane) -> None:
    asked = plane.ask("true", kind="scheduled-task", schedule="0 0 1 1 *")
    verdict = await plane.deploy(asked)
    assert (verdict.health, verdict.reason) == ("healthy", "ImagePulled")
    assert (await plane.verify(asked)).reason == "NothingToProbe"
    assert await plane.admin.list("batch/v1", "Job", asked.target.namespace) == []


async def test_removal_leaves_nothing_and_takes_the_namespace_with_the_last_component(plane: Plane) -> None:
    web, api = plane.ask(SERVES), plane.ask(SERVES, component="api")
    await plane.apply(web)
    await plane.apply(api)
    await plane.remove(web)
    assert await objects(plane, web) == {}
    assert await objects(plane, api) != {}
    await plane.remove(api)
    await eventually(lambda: _no_namespace(plane, api))
    await plane.remove(api)


async def _no_namespace(plane: Plane, asked: RolloutRequest) -> bool:
    return await plane.admin.get("v1", "Namespace", asked.target.namespace) is None


async def test_a_namespace_that_is_going_is_waited_for(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    await plane.apply(asked)
    held = {"metadata": {"finalizers": ["towpath.test/hold"]}}
    await plane.admin.merge("v1", "ServiceAccount", "web", asked.target.namespace, held)
    await plane.admin.delete("v1", "Namespace", asked.target.namespace)
    try:
        with pytest.raises(InfrastructureFailure) as failure:
            await plane.apply(asked)
        assert failure.value.reason == "NamespaceTerminating"
    finally:
        release: Object = {"metadata": {"finalizers": []}}
        await plane.admin.merge("v1", "ServiceAccount", "web", asked.target.namespace, release)


async def test_a_namespace_of_somebody_else_is_left_alone(plane: Plane) -> None:
    asked = plane.ask(SERVES)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": asked.target.namespace}}
    await plane.admin.create(namespace)
    with pytest.raises(UserFailure) as failure:
        await plane.apply(asked)
    assert failure.value.reason == "NamespaceTaken"


async def test_the_worker_writes_only_where_towpath_is_at_home(plane: Plane) -> None:
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}}
    with pytest.raises(UserFailure):
        await plane.worker.create(foreign)
    with pytest.raises(UserFailure):
        await plane.worker.list("v1", "Secret", "default")


async def test_pods_run_without_root_and_without_a_token(plane: Plane) -> None:
    asked = plane.ask(f"test ! -e /var/run/secrets/kubernetes.io && test $(id -u) = 10001 && {SERVES}")
    assert (await plane.deploy(asked)).passed
