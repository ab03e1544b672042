"""What a 2xx to a webhook is worth: a server of our own, killed and cut off from the real Temporal.

Whatever happens, a 2xx means exactly one durable intent (I1 of the faults): it is checked against Temporal itself.
"""

import asyncio
import hashlib
import hmac
import json
import os
import random
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.apiserver import ApiServer
from deploy.local.engine import SERVER
from deploy.local.exports import exports
from deploy.local.progress import Quiet
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests import toxics
from tests.temporal_namespace import client_of
from tests.toxics import Toxics

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
KILLS = 4
AT_ONCE = 40
UP_SECONDS = 60


@pytest.fixture(scope="module")
def stack() -> dict[str, str]:
    return dict(exports(Settings.from_environment()))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def temporal() -> AsyncIterator[Client]:
    """A namespace without workers: what is stored stays as it was stored."""
    name = f"test-ingest-{uuid.uuid4().hex[:8]}"
    client = await client_of(Settings.from_environment(), name)
    yield client
    await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


@pytest.fixture(scope="module")
def between(stack: dict[str, str]) -> Iterator[Toxics]:
    """The way from the server to Temporal."""
    with toxics.before(stack["TOWPATH_TOXIPROXY_URL"], stack["TEMPORAL_ADDRESS"]) as proxy:
        yield proxy


@pytest.fixture
def way(between: Toxics) -> Iterator[Toxics]:
    """The same, open at first and afterwards."""
    between.open()
    yield between
    between.open()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def url(stack: dict[str, str]) -> AsyncIterator[str]:
    """The address of a repository that is declared."""
    apiserver = await ApiServer.connect(stack["KUBECONFIG"])
    name = f"test-ingest-{uuid.uuid4().hex[:8]}"
    url = f"{stack['TOWPATH_GIT_URL']}/{name}.git"
    await apiserver.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    declared = {"metadata": {"name": name, "namespace": name}, "spec": {"url": url, "provider": "git"}}
    await apiserver.create({"apiVersion": "towpath.dev/v1alpha1", "kind": "Repository", **declared})
    yield url
    await apiserver.delete("v1", "Namespace", name)
    await apiserver.close()


@dataclass
class Process:
    """A server that may be killed, and its sender."""

    environment: dict[str, str]
    listen: str
    secret: str
    url: str

    async def start(self) -> None:
        """Start it, and wait until it takes webhooks of the repository."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "serve"),
            env=self.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(UP_SECONDS):
            while True:
                try:
                    if (await self.send(self.push())).status_code == 202:
                        break
                except httpx.TransportError:
                    assert self._process.returncode is None, "the server has ended"
                await asyncio.sleep(0.1)

    async def revive(self) -> None:
        """Start it again if a test has killed it and got no further."""
        if self._process.returncode is not None:
            await self.start()

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def push(self) -> bytes:
        """A push that nobody has told of."""
        moved = {"ref": "refs/heads/main", "before": "0" * 40, "after": uuid.uuid4().hex + "0" * 8}
        return json.dumps({"repository": {"url": self.url}, **moved}).encode()

    async def send(self, body: bytes) -> httpx.Response:
        """Deliver it; again, it is the very same delivery."""
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature-256": f"sha256={digest}",
            "X-Towpath-Event": "push",
            "X-Towpath-Delivery": hashlib.sha256(body).hexdigest(),
        }
        async with httpx.AsyncClient(timeout=20, trust_env=False) as http:
            return await http.post(f"http://{self.listen}/webhooks/git", content=body, headers=headers)

    async def taken(self, body: bytes) -> httpx.Response:
        """Deliver it again and again, as long as the server asks for that: reconnecting takes it a moment."""
        async with asyncio.timeout(UP_SECONDS):
            while (answer := await self.send(body)).status_code == 503:  # noqa: ASYNC110  (asked from outside)
                await asyncio.sleep(0.2)
        return answer


@asynccontextmanager
async def _running(stack: dict[str, str], temporal: Client, proxy: Toxics, url: str) -> AsyncIterator[Process]:
    services = Stack(Settings.from_environment(), Quiet()).services()
    like = next(service for service in services if service.name == SERVER)
    listen = f"127.0.0.1:{toxics.free_port()}"
    environment = {
        "PATH": os.environ["PATH"],
        **like.env,
        "TEMPORAL_ADDRESS": proxy.address,
        "TEMPORAL_NAMESPACE": temporal.namespace,
        "TOWPATH_LISTEN": listen,
        "TOWPATH_ADMISSION_LISTEN": "",
        "TOWPATH_METRICS_LISTEN": "",
    }
    process = Process(environment, listen, stack["TOWPATH_WEBHOOK_SECRET"], url)
    await process.start()
    try:
        yield process
    finally:
        await process.kill()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def process(stack: dict[str, str], temporal: Client, between: Toxics, url: str) -> AsyncIterator[Process]:
    async with _running(stack, temporal, between, url) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="module")
async def server(process: Process, way: Toxics) -> Process:
    """The server, alive again."""
    await process.revive()
    return process


async def test_a_server_killed_before_it_stored_has_promised_nothing_and_the_redelivery_works(
    server: Process, way: Toxics, temporal: Client
) -> None:
    body = server.push()
    way.swallow("upstream")
    sending = asyncio.create_task(server.send(body))
    await asyncio.sleep(0)
    await server.kill()
    with pytest.raises(httpx.TransportError):
        await sending
    way.open()
    await server.start()
    again = await server.taken(body)
    assert (again.status_code, again.json()["duplicate"]) == (202, False)
    assert await _is_stored(temporal, again.json()["workflow"])


async def test_a_server_killed_after_it_stored_finds_the_same_pipeline_at_the_redelivery(
    server: Process, way: Toxics, temporal: Client
) -> None:
    body = server.push()
    commit = json.loads(body)["after"]
    way.swallow("downstream")
    sending = asyncio.create_task(server.send(body))
    stored = await _shown(temporal, commit)
    await server.kill()
    with pytest.raises(httpx.TransportError):
        await sending
    way.open()
    await server.start()
    again = await server.taken(body)
    assert (again.status_code, again.json()["duplicate"], [again.json()["workflow"]]) == (202, True, stored)
    assert await _shown(temporal, commit) == stored


async def test_without_temporal_a_sender_is_asked_to_come_back_and_then_it_works(
    server: Process, way: Toxics, temporal: Client
) -> None:
    body = server.push()
    way.close()
    refused = await server.send(body)
    assert (refused.status_code, refused.json()["reason"]) == (503, "TemporalUnavailable")
    assert int(refused.headers["retry-after"]) > 0
    way.open()
    answer = await server.taken(body)
    assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
    assert await _is_stored(temporal, answer.json()["workflow"])


async def test_a_slow_temporal_gets_an_honest_answer_within_a_senders_patience(
    server: Process, way: Toxics, temporal: Client
) -> None:
    way.slow(8000)
    body = server.push()
    begun = asyncio.get_running_loop().time()
    slow = await server.send(body)
    assert slow.status_code == 503
    assert asyncio.get_running_loop().time() - begun < 10, "senders give up after ten seconds"
    way.open()
    answer = await server.taken(body)
    # It may have been stored by the first try, of which nobody could say so: then this one is the duplicate.
    assert await _shown(temporal, json.loads(body)["after"]) == [answer.json()["workflow"]]


async def test_the_same_delivery_a_hundred_times_at_once_is_one_intent(server: Process, temporal: Client) -> None:
    body = server.push()
    answers = await asyncio.gather(*(server.send(body) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert await _shown(temporal, json.loads(body)["after"]) == [answers[0].json()["workflow"]]


@pytest.mark.parametrize("seed", range(KILLS))
async def test_whenever_it_is_killed_what_it_accepted_is_there(
    server: Process, temporal: Client, seed: int
) -> None:
    """Forty deliveries under way, and the server dies when it has answered some of them."""
    wanted = random.Random(seed).randint(1, AT_ONCE - 1)
    print(f"seed {seed}: killed after {wanted} answers")
    bodies = [server.push() for _ in range(AT_ONCE)]
    accepted: dict[bytes, str] = {}
    enough = asyncio.Event()

    async def deliver(body: bytes) -> None:
        answer = await server.send(body)
        if answer.status_code == 202:
            accepted[body] = answer.json()["workflow"]
        if len(accepted) >= wanted:
            enough.set()

    sending = asyncio.gather(*(deliver(body) for body in bodies), return_exceptions=True)
    async with asyncio.timeout(UP_SECONDS):
        await enough.wait()
    await server.kill()
    await sending
    print(f"{len(accepted)} of {AT_ONCE} were accepted before it died")
    assert all([await _is_stored(temporal, workflow) for workflow in accepted.values()])
    await server.start()
    again = await asyncio.gather(*(server.send(body) for body in bodies))
    assert {answer.status_code for answer in again} == {202}
    for body, answer in zip(bodies, again, strict=True):
        assert answer.json()["duplicate"] or body not in accepted, "what was accepted was not known any more"
    workflows = {answer.json()["workflow"] for answer in again}
    assert len(workflows) == AT_ONCE
    assert all([await _is_stored(temporal, workflow) for workflow in workflows])


async def _is_stored(temporal: Client, workflow: str) -> bool:
    try:
        await temporal.get_workflow_handle(workflow).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True


async def _shown(temporal: Client, commit: str) -> list[str]:
    """The Deliveries of a commit, as soon as Temporal shows any: what is new shows after a moment."""
    query = f"WorkflowType = 'Delivery' AND TowpathCommit = '{commit}'"
    async with asyncio.timeout(UP_SECONDS):
        while not (found := [run.id async for run in temporal.list_workflows(query)]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found
