"""Webhooks at a real Gitea, and their secrets in a real cluster: registered once, replaced without a gap."""

import asyncio
import base64
import hashlib
import hmac
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activities.apiserver import ApiServer
from activities.hosted import gitea as hosted_gitea
from activities.hosts import Hosts
from activities.outbound import Outbound
from activities.secrets import Secrets
from activities.webhook_secrets import LABEL, WebhookSecrets
from activities.webhooks import Webhooks
from deploy import crds
from deploy.local import cluster
from deploy.local.settings import Settings
from model.actor import Actor
from model.failure import Failure, NotFound, Refused, UserFailure
from model.registration import RegistrationRequest, RotationRequest, RotationStep
from tests.gitea import Gitea, Hosted
from tests.gitserver import Remote, Working, listening

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

RBAC = Path(__file__).parents[2] / "deploy" / "manifests" / "rbac"
ACTOR = Actor(kind="person", name="Ada", roles=("developer",))
ARRIVES_SECONDS = 30


def kubectl(*arguments: str) -> str:
    settings = Settings.from_environment()
    return subprocess.run(
        ["kubectl", *arguments],
        env=cluster.kubectl_environment(settings),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@dataclass
class Receiver:
    """Takes what Gitea sends, and says by which of the live secrets each delivery is signed."""

    taken: list[tuple[bytes, str]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.taken.append((await request.body(), request.headers["x-gitea-signature"]))
        return Response(status_code=202)

    async def one_more(self, than: int) -> tuple[bytes, str]:
        """The next delivery after so many."""
        async with asyncio.timeout(ARRIVES_SECONDS):
            while len(self.taken) <= than:  # noqa: ASYNC110  (Gitea sends it when it likes)
                await asyncio.sleep(0.05)
        return self.taken[than]


def signed_with(delivery: tuple[bytes, str], secrets: tuple[str, ...]) -> str:
    """The secret that signed it; empty when it is none of these."""
    body, signature = delivery
    for secret in secrets:
        if hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), signature):
            return secret
    return ""


@dataclass
class Ground:
    """A repository at Gitea, its Repository in a namespace, and the activities as the control worker runs them."""

    gitea: Gitea
    hosted: Hosted
    working: Working
    admin: ApiServer
    webhooks: Webhooks
    secrets: Secrets
    namespace: str
    address: str
    receiver: Receiver

    def ask(self, action: str = "register") -> RegistrationRequest:
        return RegistrationRequest.model_validate(
            {
                "namespace": self.namespace,
                "name": "app",
                "action": action,
                "address": self.address,
                "actor": ACTOR,
            }
        )

    def rotation(self, grace: float = 3600) -> RotationRequest:
        return RotationRequest(
            namespace=self.namespace, name="app", address=self.address, actor=ACTOR, grace_seconds=grace
        )

    async def live(self) -> tuple[str, ...]:
        return await self.secrets.live(self.namespace, "app-webhook", "secret")

    async def push(self) -> str:
        """Push a commit; answers the secret that signed its announcement, empty when none does."""
        before = len(self.receiver.taken)
        self.working.commit({"a": uuid.uuid4().hex})
        await asyncio.to_thread(self.hosted.push, self.working.folder, "HEAD:refs/heads/main")
        return signed_with(await self.receiver.one_more(before), await self.live())

    async def condition(self, kind: str) -> dict[str, Any]:
        obj = await self.admin.get("towpath.dev/v1alpha1", "Repository", "app", self.namespace)
        assert obj is not None
        return next(each for each in obj["status"]["conditions"] if each["type"] == kind)


@pytest.fixture(autouse=True)
def _settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted_gitea, "SETTLING_SECONDS", 0.1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin() -> AsyncIterator[ApiServer]:
    server = await ApiServer.connect(str(Settings.from_environment().kubeconfig))
    for crd in crds.definitions():
        await server.apply(crd, "towpath-local")
    for name in ("control.yaml", "secrets.yaml", "webhooks.yaml"):
        for obj in yaml.safe_load_all((RBAC / name).read_text()):
            await server.apply(obj, "towpath-local")
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def control(admin: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """The control worker's own account: what it may not do fails here."""
    token = kubectl("create", "token", "towpath-control", "-n", "towpath-control-plane").strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("control") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    server = await ApiServer.connect(str(path))
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def ground(admin: ApiServer, control: ApiServer, tmp_path: Path) -> AsyncIterator[Ground]:
    namespace = f"test-hooks-{uuid.uuid4().hex[:8]}"
    receiver = Receiver()
    app = Starlette(routes=[Route("/webhooks/gitea", receiver.take, methods=["POST"])])
    await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for role in ("towpath-repository-secrets", "towpath-webhook-secrets"):
        await admin.create(_bound(role, namespace))
    try:
        with Gitea.of_the_stack() as gitea:
            hosted = gitea.repository(gitea.person("ada"), private=True)
            working = Remote("", tmp_path).clone(tmp_path / "working", "app")
            await admin.create(_secret("gitea-token", namespace, token=hosted.owner.token))
            await admin.create(_repository(hosted, gitea, namespace))
            secrets = Secrets(control)
            webhooks = Webhooks(control, Hosts(secrets, Outbound()), WebhookSecrets(control))
            async with listening(app) as address:
                yield Ground(gitea, hosted, working, admin, webhooks, secrets, namespace, address, receiver)
    finally:
        await admin.delete("v1", "Namespace", namespace)


def _bound(role: str, namespace: str) -> dict[str, Any]:
    account = {"kind": "ServiceAccount", "name": "towpath-control", "namespace": "towpath-control-plane"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [account],
    }


def _secret(name: str, namespace: str, labels: dict[str, str] | None = None, **texts: str) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def _repository(hosted: Hosted, gitea: Gitea, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {
            "url": hosted.url,
            "provider": "gitea",
            "webhook": {"secretRefs": [{"name": "app-webhook"}]},
            "api": {"url": f"{gitea.url}/api/v1", "tokenSecretRef": {"name": "gitea-token"}},
        },
    }


async def test_registering_makes_the_secret_and_one_webhook_however_often_it_is_said(ground: Ground) -> None:
    assert "HookMissing" in {fault.reason for fault in (await ground.webhooks.check(ground.ask("check"))).faults}
    first = await ground.webhooks.register(ground.ask())
    again = await ground.webhooks.register(ground.ask())
    assert first.hook
    assert [str(each["id"]) for each in ground.gitea.hooks(ground.hosted)] == [again.hook]
    assert set(first.events) == {"push", "change", "comment"}
    assert await ground.push() == (await ground.live())[0]
    assert (await ground.condition("WebhookRegistered"))["status"] == "True"
    assert (await ground.webhooks.check(ground.ask("check"))).faults == ()


async def test_registering_puts_right_what_people_did_to_the_webhook(ground: Ground) -> None:
    made = await ground.webhooks.register(ground.ask())
    path = f"/repos/{ground.hosted.name}/hooks"
    # Somebody made a second one by hand, and changed the secret and the events of the first.
    ground.gitea.hook(ground.hosted, f"{ground.address}/webhooks/gitea", "another")
    ground.gitea.hook(ground.hosted, "http://127.0.0.1:9/somebody-elses", "theirs")
    changed = {"events": ["push"], "config": {"secret": "another"}, "active": False}
    ground.gitea.call("PATCH", f"{path}/{made.hook}", changed, ground.hosted.owner)
    found = await ground.webhooks.check(ground.ask("check"))
    assert "HooksDoubled" in {fault.reason for fault in found.faults}
    await ground.webhooks.register(ground.ask())
    urls = [each["config"]["url"] for each in ground.gitea.hooks(ground.hosted)]
    assert sorted(urls) == sorted([f"{ground.address}/webhooks/gitea", "http://127.0.0.1:9/somebody-elses"])
    assert await ground.push()
    assert (await ground.webhooks.check(ground.ask("check"))).faults == ()


async def test_unregistering_takes_only_our_webhook_away(ground: Ground) -> None:
    await ground.webhooks.register(ground.ask())
    ground.gitea.hook(ground.hosted, "http://127.0.0.1:9/somebody-elses", "theirs")
    await ground.webhooks.unregister(ground.ask("unregister"))
    await ground.webhooks.unregister(ground.ask("unregister"))
    assert [each["config"]["url"] for each in ground.gitea.hooks(ground.hosted)] == [
        "http://127.0.0.1:9/somebody-elses"
    ]
    assert (await ground.condition("WebhookRegistered"))["reason"] == "Unregistered"


async def test_every_push_during_a_rotation_is_signed_with_a_secret_that_counts(ground: Ground) -> None:
    await ground.webhooks.register(ground.ask())
    (old,) = await ground.live()
    request = ground.rotation()
    await ground.webhooks.prepare(request)
    assert await ground.push() == old
    # Each step twice, as when a worker dies after it and before that is known.
    await ground.webhooks.prepare(request)
    await ground.webhooks.install(request)
    fresh = await ground.push()
    assert fresh not in ("", old)
    await ground.webhooks.install(request)
    assert await ground.push() == fresh
    async with asyncio.timeout(ARRIVES_SECONDS):
        for until in (4_000_000_000, 4_000_000_001):
            await ground.webhooks.promote(RotationStep(request=request, until=until))
    assert set(await ground.live()) == {old, fresh}
    assert await ground.push() == fresh
    await ground.webhooks.retire(request)
    assert old in await ground.live(), "it still has time"


async def test_without_grace_the_old_secret_is_gone_at_once(ground: Ground) -> None:
    await ground.webhooks.register(ground.ask())
    (old,) = await ground.live()
    request = ground.rotation(grace=0)
    await ground.webhooks.prepare(request)
    await ground.webhooks.install(request)
    await ground.webhooks.promote(RotationStep(request=request, until=1))
    assert old not in await ground.live()
    await ground.webhooks.retire(request)
    kept = await ground.admin.get("v1", "Secret", "app-webhook", ground.namespace)
    assert kept is not None
    assert set(kept["data"]) == {"secret"}
    assert await ground.push()


async def test_a_secret_that_is_not_ours_is_read_and_never_written(ground: Ground, control: ApiServer) -> None:
    await ground.admin.create(_secret("app-webhook", ground.namespace, secret="made-by-hand"))
    await ground.webhooks.register(ground.ask())
    assert await ground.push() == "made-by-hand"
    with pytest.raises(Refused) as caught:
        await ground.webhooks.prepare(ground.rotation())
    assert LABEL in caught.value.message
    # Nor could it be, whatever our own code says.
    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: control.merge("v1", "Secret", "app-webhook", ground.namespace, {"stringData": {"secret": "x"}}),
        lambda: control.merge(
            "v1", "Secret", "app-webhook", ground.namespace, {"metadata": {"labels": {LABEL: "true"}}}
        ),
        lambda: control.create(_secret("another", ground.namespace, token="x")),
        lambda: control.create(
            {**_secret("minted", ground.namespace, {LABEL: "true"}), "type": "kubernetes.io/service-account-token"}
        ),
    )
    for attempt in attempts:
        with pytest.raises(Failure):
            await attempt()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda spec: spec.pop("webhook"), "NoWebhookSecret"),
        (lambda spec: spec.pop("api"), "NoProviderApi"),
        (lambda spec: spec["api"]["tokenSecretRef"].update(name="absent"), "TokenMissing"),
        (lambda spec: spec["api"].update(url="http://169.254.169.254/api/v1"), "AddressRefused"),
    ],
)
async def test_what_cannot_be_registered_says_why(
    ground: Ground, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    obj = _repository(ground.hosted, ground.gitea, ground.namespace)
    change(obj["spec"])
    await ground.admin.delete("towpath.dev/v1alpha1", "Repository", "app", ground.namespace)
    await ground.admin.create(obj)
    with pytest.raises(UserFailure) as caught:
        await ground.webhooks.register(ground.ask())
    assert caught.value.reason == reason
    assert ground.hosted.owner.token not in caught.value.message


async def test_an_unknown_repository_is_said(ground: Ground) -> None:
    with pytest.raises(NotFound):
        await ground.webhooks.register(ground.ask().model_copy(update={"name": "nobody"}))
