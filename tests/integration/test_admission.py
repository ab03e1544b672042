"""What can never work is refused by `kubectl apply`, naming the field; the server is asked by the real cluster."""

import asyncio
import json
import socket
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from activities.apiserver import ApiServer
from deploy.local import admission
from deploy.local.cluster import kubectl
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from triggers.admission import Admission
from worker.listener import Certificate, Listener

pytestmark = pytest.mark.stack
OPENCHOREO, TOWPATH = "openchoreo.dev/v1alpha1", "towpath.dev/v1alpha1"


@dataclass
class Ground:
    """A namespace whose manifests are checked by a server of this test's."""

    settings: Settings
    namespace: str
    certificate: Certificate
    files: admission.Files
    port: int

    async def apply(
        self, kind: str, name: str, spec: dict[str, Any], *options: str, annotations: dict[str, str] | None = None
    ) -> str:
        """`kubectl apply`; what it says in the end, refusals too."""
        manifest = {
            "apiVersion": TOWPATH if kind in ("PromotionPolicy", "Freeze", "Repository") else OPENCHOREO,
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations or {}},
            "spec": spec,
        }
        arguments = ("apply", "--filename=-", *options)
        try:
            return await asyncio.to_thread(kubectl, self.settings, *arguments, stdin=json.dumps(manifest))
        except StackError as error:
            return str(error)

    def shown(self) -> bytes:
        """The certificate that whoever connects is shown."""
        context = ssl.create_default_context(cafile=self.files.authority)
        with (
            socket.create_connection((self.settings.bridge_address, self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=self.settings.bridge_address) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""


def pipeline(*paths: tuple[str, str]) -> dict[str, Any]:
    return {
        "promotionPaths": [
            {"sourceEnvironmentRef": source, "targetEnvironmentRefs": [{"name": target}]}
            for source, target in paths
        ]
    }


CIRCLE = pipeline(("development", "staging"), ("staging", "development"))


@pytest.fixture(scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    settings = Settings.from_environment()
    namespace = f"admission-{uuid.uuid4().hex[:8]}"
    own = replace(settings, state=tmp_path_factory.mktemp("admission"))
    files = admission.certificate(own)
    certificate = Certificate(files.certificate, files.key)
    await asyncio.to_thread(kubectl, settings, "create", "namespace", namespace)
    try:
        async with answering(settings, certificate) as port:
            registration = admission.registration(replace(own, admission_port=port))
            registration["metadata"]["name"] = namespace
            only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            registration["webhooks"][0] |= {
                "namespaceSelector": only,
                "failurePolicy": "Fail",
                "timeoutSeconds": 30,
            }
            stdin = json.dumps(registration)
            await asyncio.to_thread(kubectl, settings, "apply", "--filename=-", stdin=stdin)
            ground = Ground(settings, namespace, certificate, files, port)
            await asked(ground)
            yield ground
    finally:
        gone = ("delete", "--wait=false", "--ignore-not-found")
        await asyncio.to_thread(kubectl, settings, *gone, "validatingwebhookconfiguration", namespace)
        await asyncio.to_thread(kubectl, settings, *gone, "namespace", namespace)


async def asked(ground: Ground) -> None:
    """Wait until the cluster has learnt of the webhook, which takes a second or so."""
    said = ""
    async with asyncio.timeout(60):
        while "PipelineCycle" not in said:
            said = await ground.apply("DeploymentPipeline", "x", CIRCLE, "--dry-run=server")


@asynccontextmanager
async def answering(settings: Settings, certificate: Certificate) -> AsyncIterator[int]:
    """The server's side, on a port of its own."""
    apiserver = await ApiServer.connect(str(settings.kubeconfigs / "server.conf"))
    config = uvicorn.Config(
        Admission(apiserver).application(),
        host=settings.bridge_address,
        port=0,
        log_config=None,
        ssl_context_factory=lambda _config, _default: certificate.context,
    )
    server = Listener(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:  # noqa: ASYNC110  (uvicorn tells it no other way)
                await asyncio.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        await apiserver.close()


async def test_a_pipeline_that_goes_in_a_circle_is_refused(ground: Ground) -> None:
    said = await ground.apply("DeploymentPipeline", "round", CIRCLE)
    assert "denied the request" in said
    assert "PipelineCycle" in said
    assert "development" in said


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"soak": "48 hours"}, "spec.soak"),
        (
            {"windows": {"allow": [{"days": ["mon"], "from": "09:00", "to": "17:00"}], "timeZone": "Mars/X"}},
            "windows",
        ),
        ({"approvals": {"required": 2, "people": ["ada"]}}, "approvals"),
    ],
    ids=["no duration", "no time zone", "more approvals than people"],
)
async def test_a_policy_that_can_never_be_met_is_refused_with_its_field(
    ground: Ground, spec: dict[str, Any], field: str
) -> None:
    said = await ground.apply("PromotionPolicy", "never", spec)
    assert "configured" not in said
    assert "created" not in said
    assert field in said


async def test_a_pipeline_may_come_before_its_environments_with_a_warning(ground: Ground) -> None:
    said = await ground.apply("DeploymentPipeline", "early", pipeline(("qa", "live")))
    assert "early created" in said
    reviewed = {"metadata": {"name": "p"}, "kind": "DeploymentPipeline", "apiVersion": OPENCHOREO}
    apiserver = await ApiServer.connect(str(ground.settings.kubeconfigs / "server.conf"))
    try:
        refused, warning = await Admission(apiserver).review(
            ground.namespace, {**reviewed, "spec": pipeline(("qa", "live"))}
        )
    finally:
        await apiserver.close()
    assert refused is None
    assert "promotionPaths.0" in warning
    assert "qa" in warning


async def test_an_environment_that_there_is_not_among_others_is_refused(ground: Ground) -> None:
    assert "created" in await ground.apply("Environment", "development", {})
    # Right after the one that it names: what the server knows must not lag behind.
    assert "created" in await ground.apply("Environment", "staging", {})
    assert "created" in await ground.apply("DeploymentPipeline", "fine", pipeline(("development", "staging")))
    said = await ground.apply("DeploymentPipeline", "wrong", pipeline(("development", "stagin")))
    assert "UnknownEnvironment" in said
    assert "spec.promotionPaths.0.targetEnvironmentRefs.0" in said


async def test_a_renewed_certificate_is_shown_without_a_restart(ground: Ground) -> None:
    before = await asyncio.to_thread(ground.shown)
    ground.files.certificate.unlink()
    admission.certificate(replace(ground.settings, state=ground.files.key.parents[1]))
    assert ground.certificate.refresh()
    assert await asyncio.to_thread(ground.shown) != before
    assert "PipelineCycle" in await ground.apply("DeploymentPipeline", "round", CIRCLE)


async def test_a_broken_certificate_does_not_stop_what_is_served(ground: Ground, tmp_path: Path) -> None:
    good = ground.files.certificate.read_text()
    before = await asyncio.to_thread(ground.shown)
    ground.files.certificate.write_text("half a fi")
    assert not ground.certificate.refresh()
    assert await asyncio.to_thread(ground.shown) == before
    ground.files.certificate.write_text(good)
    ground.certificate.refresh()


async def test_a_bad_filter_is_refused_where_it_is_stated(ground: Ground) -> None:
    repository = {"url": "https://git.example.com/a/b.git", "filters": {"tags": {"versions": ">=one"}}}
    said = await ground.apply("Repository", "r", repository, "--dry-run=server")
    assert "BadFilter" in said
    assert "spec.filters.tags.versions" in said
    component = {
        "componentType": {"name": "deployment/service"},
        "workflow": {"name": "dockerfile-builder", "parameters": {"repository": {"url": repository["url"]}}},
    }
    for annotation, text, field in (
        ("filters", "paths: {shared: [../x]}", "paths.shared.0"),
        ("build-schedule", "CRON_TZ=Mars 0 3 * * *", "Mars"),
    ):
        told = {f"towpath.dev/{annotation}": text}
        said = await ground.apply("Component", "c", component, "--dry-run=server", annotations=told)
        assert field in said
        assert f"metadata.annotations.towpath.dev/{annotation}" in said
    good = {"towpath.dev/filters": "paths: {shared: [libs/]}", "towpath.dev/build-schedule": "@daily"}
    assert "created" in await ground.apply("Component", "c", component, "--dry-run=server", annotations=good)
