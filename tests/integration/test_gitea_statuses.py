"""What readers of a real Gitea see of a commit, also when it was away for a while."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.apiserver import ApiServer
from activities.hosting import HookWish, Hosting
from activities.hosts import Hosts
from activities.outbound import Outbound
from activities.secrets import Secrets
from activities.statuses import CommitStatuses
from deploy.local.exports import exports
from deploy.local.settings import Settings
from model import ids, stated_statuses
from model.destination import Reach
from model.failure import UserFailure
from model.hosting import HostedComment, HostedStatus, StatusState
from model.resources.declared import read
from model.resources.repository import Repository
from model.status_note import StatusNote
from model.told import Told
from tests import toxics
from tests.gitea import Gitea, Hosted, Person
from tests.temporal_namespace import client_of
from tests.toxics import Toxics
from worker.failures import FailureInterceptor
from worker.guard import Guard
from worker.keys import SealKeys
from worker.seals import Sealing
from workflows.statuses import Statuses

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
SEALS = SealKeys(active="one", secrets={"one": b"1" * 32})
OUTBOUND = Outbound(Reach(hosts=("127.0.0.1",)))
KIND = "towpath.dev/v1alpha1"


@dataclass(frozen=True)
class Site:
    """A repository with one commit, and as whom Towpath speaks of it."""

    gitea: Gitea
    repository: Hosted
    commit: str
    bot: Person


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Gitea.of_the_stack() as gitea:
        owner = gitea.person("owner")
        bot = gitea.person("bot")
        repository = gitea.repository(owner)
        gitea.collaborator(repository, bot, "admin")
        content = base64.b64encode(b"hello").decode()
        made = gitea.call(
            "POST", f"/repos/{repository.name}/contents/README", {"content": content, "message": "begin"}, owner
        )
        yield Site(gitea, repository, made["commit"]["sha"], bot)


def declared(site: Site, namespace: str, api: str) -> dict[str, Any]:
    spec = {
        "url": site.repository.url,
        "provider": "gitea",
        "api": {"url": api, "tokenSecretRef": {"name": "gitea"}},
    }
    return {
        "apiVersion": KIND,
        "kind": "Repository",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": spec,
    }


class Token:
    """The bot's token, in every Secret."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return self._token


@asynccontextmanager
async def hosting(site: Site) -> AsyncIterator[Hosting]:
    repository = read(Repository, declared(site, "default", f"{site.gitea.url}/api/v1"))
    async with Hosts(Token(site.bot.token), OUTBOUND).open(repository) as found:
        yield found


async def test_gitea_takes_every_state(site: Site) -> None:
    states: list[StatusState] = ["pending", "success", "failure", "error", "cancelled"]
    async with hosting(site) as gitea:
        for state in states:
            await gitea.status(
                HostedStatus(commit=site.commit, context=f"towpath/try/{state}", state=state, description="ok")
            )
    told = site.gitea.statuses(site.repository, site.commit)
    assert {context.rpartition("/")[2]: state for context, state in told.items() if "/try/" in context} == {
        "pending": "pending",
        "success": "success",
        "failure": "failure",
        "error": "error",
        "cancelled": "error",
    }


async def test_a_fork_a_comment_and_permissions_are_read_from_gitea(site: Site) -> None:
    stranger = site.gitea.person("stranger")
    fork = site.gitea.fork(site.repository, stranger)
    content = base64.b64encode(b"more").decode()
    change = {"content": content, "message": "more", "new_branch": "idea"}
    made = site.gitea.call("POST", f"/repos/{fork.name}/contents/MORE", change, stranger)
    pull = site.gitea.pull(site.repository, f"{stranger.login}:idea", "An idea", stranger)
    async with hosting(site) as gitea:
        found = await gitea.change(str(pull["number"]))
        assert (found.fork, found.head, found.author) == (True, made["commit"]["sha"], stranger.login)
        assert found.head_url == fork.url
        assert await gitea.permission(stranger.login) in ("none", "read")
        assert await gitea.permission(site.bot.login) == "admin"
        said = HostedComment(change=found.change, body="<!-- ours --> one", marker="<!-- ours -->")
        first = await gitea.comment(said)
        again = await gitea.comment(said.model_copy(update={"body": "<!-- ours --> two"}))
    comments = site.gitea.call("GET", f"/repos/{site.repository.name}/issues/{found.change}/comments")
    assert (first, [each["body"] for each in comments]) == (again, ["<!-- ours --> two"])


async def test_a_hook_is_made_changed_and_taken_away(site: Site) -> None:
    url = "http://10.88.0.1:1/webhooks/gitea"
    async with hosting(site) as gitea:
        made = await gitea.create_hook(HookWish(url=url, secret="one"))
        (found,) = [each for each in await gitea.hooks() if each.url == url]
        assert (found.id, found.events, found.active) == (made.id, ("push", "change", "comment"), True)
        other = await gitea.update_hook(found.id, HookWish(url=url, secret="two", events=("push",)))
        (changed,) = [each for each in await gitea.hooks() if each.url == url]
        assert (changed.id, changed.events) == (other.id, ("push",))
        await gitea.delete_hook(other.id)
        await gitea.delete_hook(other.id)
        assert [each for each in await gitea.hooks() if each.url == url] == []


async def test_a_token_that_gitea_refuses_is_named_by_its_secret(site: Site) -> None:
    repository = read(Repository, declared(site, "default", f"{site.gitea.url}/api/v1"))
    with pytest.raises(UserFailure, match="Secret default/gitea") as refused:
        async with Hosts(Token("0" * 40), OUTBOUND).open(repository) as gitea:
            await gitea.status(HostedStatus(commit=site.commit, context="x", state="success"))
    assert refused.value.reason == "TokenRefused"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def temporal() -> AsyncIterator[Client]:
    name = f"test-statuses-{uuid.uuid4().hex[:8]}"
    client = await client_of(Settings.from_environment(), name, interceptors=[Sealing(SEALS)])
    yield client
    await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=name))


@pytest_asyncio.fixture(loop_scope="module")
async def cluster() -> AsyncIterator[ApiServer]:
    server = await ApiServer.connect(str(Settings.from_environment().kubeconfig))
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(cluster: ApiServer) -> AsyncIterator[str]:
    name = f"test-statuses-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete("v1", "Namespace", name)


@pytest.fixture
def way(site: Site) -> Iterator[Toxics]:
    """From Towpath to Gitea."""
    stack = exports(Settings.from_environment())
    with toxics.before(stack["TOWPATH_TOXIPROXY_URL"], urlsplit(site.gitea.url).netloc) as proxy:
        yield proxy


async def test_a_provider_that_was_away_is_told_how_things_are_now(
    site: Site, way: Toxics, temporal: Client, cluster: ApiServer, namespace: str
) -> None:
    """With the real Temporal, sealed signals, a declared Repository and its Secret; the way to Gitea is cut."""
    repository = declared(site, namespace, f"http://{way.address}/api/v1")
    await cluster.create(repository)
    secret = {"name": "gitea", "namespace": namespace}
    token = {"token": f"{site.bot.token}\n"}
    await cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": token})
    told = stated_statuses.told(read(Repository, repository))
    assert told is not None
    activities = CommitStatuses(temporal, cluster, Hosts(Secrets(cluster), OUTBOUND), "https://ui.example")
    worker = Worker(
        temporal,
        task_queue=ids.CONTROL_QUEUE,
        workflows=[Statuses],
        activities=[activities.say],
        interceptors=[FailureInterceptor(), Guard({}, SEALS)],
    )
    notes = story(told, site.commit)
    entity = temporal.get_workflow_handle_for(Statuses.run, ids.statuses(told.repository, site.commit))
    async with worker:
        way.close()
        # Out of order, and each of them twice.
        for note in [*reversed(notes), *notes]:
            await activities.tell(note)
        async with asyncio.timeout(60):
            while True:
                if "ProviderUnavailable" in (await entity.query(Statuses.state)).trouble:
                    break
                await asyncio.sleep(0.2)
        assert seen(site) == {}
        way.open()
        wanted = {"fault/build": "success", "fault/staging": "failure"}
        async with asyncio.timeout(120):
            while True:
                if seen(site) == wanted:
                    break
                await asyncio.sleep(0.2)
        async with asyncio.timeout(60):
            while True:
                state = await entity.query(Statuses.state)
                if not state.waiting:
                    break
                await asyncio.sleep(0.2)
    assert (state.sent, state.trouble, state.given_up) == (2, "", 0)
    everything = site.gitea.call("GET", f"/repos/{site.repository.name}/commits/{site.commit}/statuses", limit=50)
    ours = [each for each in everything if each["context"].startswith("fault/")]
    assert len(ours) == 2, "each context's last state only, once"
    assert all(each["target_url"].startswith("https://ui.example/namespaces/") for each in ours)
    history = (await entity.fetch_history()).to_json()
    for disguise in (site.bot.token, base64.b64encode(site.bot.token.encode()).decode()):
        assert disguise not in history
    await entity.terminate()


async def test_a_note_that_is_not_ours_is_not_told(site: Site, temporal: Client) -> None:
    """Whoever reaches Temporal, without the control plane's key."""
    commit = "f" * 40
    told = Told(repository="gitea.test/team/app", namespace="default", name="app")
    stranger = await client_of(Settings.from_environment(), temporal.namespace)
    worker = Worker(
        temporal,
        task_queue=ids.CONTROL_QUEUE,
        workflows=[Statuses],
        interceptors=[Guard({}, SEALS)],
        activities=[],
    )
    teller = CommitStatuses(stranger, None, None)  # type: ignore[arg-type]
    async with worker:
        await teller.tell(story(told, commit)[0])
        entity = temporal.get_workflow_handle_for(Statuses.run, ids.statuses(told.repository, commit))
        state = await entity.query(Statuses.state)
    assert (state.waiting, state.sent) == ({}, 0)
    await entity.terminate()


def story(told: Told, commit: str) -> list[StatusNote]:
    states: list[tuple[str, StatusState]] = [
        ("build", "pending"),
        ("build", "success"),
        ("staging", "pending"),
        ("staging", "failure"),
    ]
    return [
        StatusNote(
            told=told,
            commit=commit,
            context=f"fault/{what}",
            state=state,
            title=state,
            order=order,
            workflow="w/1",
        )
        for order, (what, state) in enumerate(states, 1)
    ]


def seen(site: Site) -> dict[str, str]:
    told = site.gitea.statuses(site.repository, site.commit)
    return {context: state for context, state in told.items() if context.startswith("fault/")}
