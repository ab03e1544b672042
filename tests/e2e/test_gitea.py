"""A private repository at a real Gitea, as a new user brings it: declared, registered, pushed to, told of."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from model.registration import hook_address
from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.canaries import Search
from tests.e2e.site import BUILD_PLANE, Site
from tests.gitea import Gitea, Hosted

STATUSES_SECONDS = 60
ARRIVES_SECONDS = 30


@dataclass(frozen=True)
class Story:
    """From an empty repository to a healthy release, and a delivery that is sent again."""

    app: Application
    hosted: Hosted
    commit: str
    registered: dict[str, Any]
    hooks: list[dict[str, Any]]
    deliveries: list[str]
    checked: str
    statuses: dict[str, str]
    starts: int
    secrets: dict[str, str] = field(repr=False)


@pytest.fixture(scope="module")
def gitea() -> Iterator[Gitea]:
    with Gitea.of_the_stack() as found:
        yield found


@pytest.fixture(scope="module")
def story(site: Site, gitea: Gitea, application: Callable[..., Application]) -> Iterator[Story]:
    app = application(Application.hello, "at-gitea")
    hosted = gitea.repository(gitea.person("ada"), private=True)
    credentials = f"git-{site.namespace}"
    bound = [_bound(role, site.namespace) for role in ("towpath-repository-secrets", "towpath-webhook-secrets")]
    pair = {"username": hosted.owner.login, "password": hosted.owner.token}
    secrets = [
        _secret("gitea-token", site.namespace, token=hosted.owner.token),
        _secret(credentials, site.namespace, "kubernetes.io/basic-auth", **pair),
        # Builds read them where they run.
        _secret(credentials, BUILD_PLANE, "kubernetes.io/basic-auth", **pair),
    ]
    repository = _repository(hosted, gitea, site.namespace, credentials)
    _apply(site, *bound, *secrets, repository)
    name = f"{site.namespace}/at-gitea"
    try:
        registered = json.loads(site.towpath("repository", "register", name, "-o", "json"))
        app.url = hosted.url
        for obj in app.objects:
            obj["spec"]["source"]["git"]["repository"] = hosted.url
        app.repository.git("remote", "set-url", "origin", hosted.with_credentials())
        app.apply()
        commit = app.push("Begin")
        app.healthy(commit, "development")
        hook = int(registered["hook"])
        first = gitea.deliveries(hosted, hook)
        gitea.redeliver(hosted, hook, first[-1])
        deliveries = _grown(site, gitea, hosted, hook, len(first))
        statuses = _told(site, gitea, hosted, commit)
        pushes = f"push/{quote(normalise(hosted.url), safe='')}/"
        yield Story(
            app=app,
            hosted=hosted,
            commit=commit,
            registered=registered,
            hooks=gitea.hooks(hosted),
            deliveries=deliveries,
            checked=site.towpath("repository", "check", name),
            statuses=statuses,
            starts=site.runs.count(f"WorkflowId STARTS_WITH '{pushes}'"),
            secrets={"token": hosted.owner.token, "webhook": _kept(site, "app-webhook")},
        )
    finally:
        site.see.kubectl("delete", "secret", credentials, f"--namespace={BUILD_PLANE}", "--ignore-not-found")


def _apply(site: Site, *objects: dict[str, Any]) -> None:
    site.see.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))


def _bound(role: str, namespace: str) -> dict[str, Any]:
    accounts = [
        {"kind": "ServiceAccount", "name": name, "namespace": "towpath-control-plane"}
        for name in ("towpath-control", *(["towpath-server"] if role == "towpath-repository-secrets" else []))
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": accounts,
    }


def _secret(name: str, namespace: str, kind: str = "Opaque", **texts: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "stringData": texts}


def _repository(hosted: Hosted, gitea: Gitea, namespace: str, credentials: str) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "at-gitea", "namespace": namespace},
        "spec": {
            "url": hosted.url,
            "provider": "gitea",
            "webhook": {"secretRefs": [{"name": "app-webhook"}]},
            "credentials": {"secretRef": {"name": credentials}},
            "api": {"url": f"{gitea.url}/api/v1", "tokenSecretRef": {"name": "gitea-token"}},
        },
    }


def _kept(site: Site, name: str) -> str:
    found = json.loads(site.see.kubectl("get", "secret", name, f"--namespace={site.namespace}", "-o", "json"))
    return base64.b64decode(found["data"]["secret"]).decode()


def _grown(site: Site, gitea: Gitea, hosted: Hosted, hook: int, than: int) -> list[str]:
    def look() -> list[str]:
        found = gitea.deliveries(hosted, hook)
        return found if len(found) > than else []

    return list(site.see.until("the delivery that is sent again", ARRIVES_SECONDS, look))


def _told(site: Site, gitea: Gitea, hosted: Hosted, commit: str) -> dict[str, str]:
    def look() -> dict[str, str]:
        found = gitea.statuses(hosted, commit)
        return found if found and "pending" not in found.values() else {}

    return dict(site.see.until("the statuses of the commit", STATUSES_SECONDS, look))


def test_registering_makes_one_webhook_that_leads_to_the_server(site: Site, story: Story) -> None:
    (hook,) = story.hooks
    assert hook["config"]["url"] == hook_address(site.environment["TOWPATH_URL"], "gitea")
    assert hook["active"]
    assert str(hook["id"]) == story.registered["hook"]
    assert story.registered["faults"] == []


def test_a_push_announced_by_gitea_itself_runs_in_development(story: Story) -> None:
    assert story.app.curl("development") == f"{story.app.version()} (development)"


def test_a_delivery_that_is_sent_again_from_giteas_log_starts_nothing(story: Story) -> None:
    # Gitea gives it another delivery id: only repository, ref and commit say that it is the same.
    assert story.deliveries[0] not in story.deliveries[1:]
    assert story.starts == 1
    assert len(story.app.workflows(story.commit)) == 1


def test_the_commit_says_at_gitea_how_it_went(story: Story) -> None:
    assert story.statuses
    assert set(story.statuses.values()) == {"success"}


def test_the_check_finds_nothing_wrong(story: Story) -> None:
    assert "The webhook is there" in story.checked


def test_neither_token_nor_webhook_secret_is_anywhere(site: Site, story: Story) -> None:
    key = quote(normalise(story.hosted.url), safe="")
    queries = [f"WorkflowId STARTS_WITH '{kind}/{key}'" for kind in ("push", "statuses", "ledger")]
    queries.append(f"WorkflowId STARTS_WITH 'registration/{site.namespace}/'")
    queries.append(f"TowpathComponent = '{story.app.key}'")
    search = Search(story.secrets)
    assert search.histories(site, queries) >= {"push", "registration", "build", "lane", "statuses"}
    search.processes(site)
    search.objects(site)
    assert search.holds(story.commit)
    assert search.found() == []
