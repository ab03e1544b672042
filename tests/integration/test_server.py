"""The running server of the local stack: a push is stored once, in the real Temporal, and an endless body ends."""

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.apiserver import ApiServer
from deploy.local.exports import exports
from deploy.local.settings import Settings
from model.delivery import DeliveryState
from model.failure import UserFailure
from model.push import Push
from model.repository import normalise
from tests.triggers.dialects import (
    Delivery,
    azure,
    bitbucket_cloud,
    bitbucket_datacenter,
    git,
    gitea,
    github,
    gitlab,
    vouched,
)
from triggers.starter import TemporalStarter

SENDERS = [each.push() for each in (github, gitlab, bitbucket_cloud, bitbucket_datacenter, gitea, azure, git)]
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def stack() -> dict[str, str]:
    return dict(exports(Settings.from_environment()))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def temporal(stack: dict[str, str]) -> Client:
    return await Client.connect(
        stack["TEMPORAL_ADDRESS"],
        namespace=stack["TEMPORAL_NAMESPACE"],
        data_converter=pydantic_data_converter,
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(stack: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {stack['TOWPATH_TOKEN']}"}
    async with httpx.AsyncClient(base_url=stack["TOWPATH_URL"], headers=headers, timeout=30) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def repository(stack: dict[str, str], server: httpx.AsyncClient) -> AsyncIterator[str]:
    """The address of a repository that a Repository object declares, known to the server."""
    apiserver = await ApiServer.connect(stack["KUBECONFIG"])
    name = f"test-server-{uuid.uuid4().hex[:8]}"
    url = f"{stack['TOWPATH_GIT_URL']}/{name}.git"
    await apiserver.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    declared = {"metadata": {"name": name, "namespace": name}, "spec": {"url": url, "provider": "git"}}
    await apiserver.create({"apiVersion": "towpath.dev/v1alpha1", "kind": "Repository", **declared})
    first = body_of(url, after="0" * 39 + "1")
    async with asyncio.timeout(30):
        while (await post(server, stack, first)).status_code == 404:  # noqa: ASYNC110  (asked from outside)
            await asyncio.sleep(0.1)
    yield url
    await apiserver.delete("v1", "Namespace", name)
    await apiserver.close()


def body_of(url: str, after: str) -> bytes:
    moved = {"ref": "refs/heads/main", "before": "0" * 40, "after": after}
    return json.dumps({"repository": {"url": url}, **moved}).encode()


async def post(server: httpx.AsyncClient, stack: dict[str, str], body: bytes) -> httpx.Response:
    digest = hmac.new(stack["TOWPATH_WEBHOOK_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}", "X-Towpath-Event": "push", "X-Towpath-Delivery": "test"}
    return await server.post("/webhooks/git", content=body, headers=headers)


async def test_fifty_deliveries_of_one_push_are_one_workflow(
    server: httpx.AsyncClient, stack: dict[str, str], temporal: Client, repository: str
) -> None:
    body = body_of(repository, uuid.uuid4().hex + "0" * 8)
    answers = await asyncio.gather(*(post(server, stack, body) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    [workflow] = {answer.json()["workflow"] for answer in answers}
    handle = temporal.get_workflow_handle(workflow, result_type=DeliveryState)
    async with asyncio.timeout(60):
        ended = await handle.result()
    assert ended.outcome == "NobodyFollows"
    # Closed or running, the same push stays the same workflow.
    again = await post(server, stack, body)
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    description = await handle.describe()
    assert description.status == WorkflowExecutionStatus.COMPLETED


async def test_what_was_announced_is_listed_with_what_came_of_it(
    server: httpx.AsyncClient, stack: dict[str, str], repository: str
) -> None:
    commit = uuid.uuid4().hex + "1" * 8
    workflow = (await post(server, stack, body_of(repository, commit))).json()["workflow"]
    query = {"repository": normalise(repository)}
    async with asyncio.timeout(30):
        # Temporal lists what is new a moment later.
        while True:
            found = {each["workflow"]: each for each in (await server.get("/api/v1/events", params=query)).json()}
            if workflow in found and found[workflow]["status"] == "COMPLETED":
                break
            await asyncio.sleep(0.1)
    event = found[workflow]
    assert (event["kind"], event["commit"], event["repository"]) == ("push", commit, query["repository"])
    assert (await server.get("/api/v1/events", params={"poison": "true"})).status_code == 200


async def test_what_temporal_will_never_take_is_refused_and_not_to_be_sent_again(temporal: Client) -> None:
    push = Push(repository="git.example/x", url="https://git.example/x", ref="refs/heads/main", after="1" * 40)
    with pytest.raises(UserFailure) as refused:
        await TemporalStarter(temporal).start(push, "x" * 1001)
    assert refused.value.reason == "EventRefused"


@pytest.mark.parametrize("delivery", SENDERS, ids=lambda delivery: str(delivery.provider))
async def test_every_sender_is_understood_at_its_address(
    server: httpx.AsyncClient, stack: dict[str, str], delivery: Delivery
) -> None:
    """What nobody declared starts nothing; a secret that is wrong does not even show that."""
    body = delivery.body
    known = await server.post(
        delivery.path, content=body, headers=vouched(delivery, stack["TOWPATH_WEBHOOK_SECRET"])
    )
    assert (known.status_code, known.json()["reason"]) == (404, "UnknownRepository")
    stranger = await server.post(delivery.path, content=body, headers=vouched(delivery, "guessed"))
    assert (stranger.status_code, stranger.json()["reason"]) == (401, "SignatureWrong")


async def test_an_endless_body_is_cut_off_on_a_real_socket(server: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 20
            yield b"x" * (1 << 20)

    try:
        response = await server.post("/webhooks/git", content=endless())
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        # The server has answered and closed while we were still writing: a reset may overtake its answer.
        pass
    else:
        assert response.status_code == 413
    assert sent < 64 << 20
    assert (await server.get("/healthz")).status_code == 200


async def test_the_server_serves_what_the_command_line_asks(server: httpx.AsyncClient) -> None:
    assert (await server.get("/readyz")).status_code == 200
    components = await server.get("/api/v1/components")
    assert components.status_code == 200
    assert isinstance(components.json(), list)
    assert (await server.get("/api/v1/components", headers={"Authorization": ""})).status_code == 401
