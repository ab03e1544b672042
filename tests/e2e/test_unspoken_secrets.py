"""Secrets are nowhere where people or machines look: neither those in use, nor those in what goes wrong."""

import base64
import hashlib
import json
import secrets as random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml

from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.canaries import Search
from tests.e2e.chapters import Arrival, Redelivered
from tests.e2e.sender import Sender
from tests.e2e.site import Site
from tests.gitea import Gitea, Hosted

TOLD_SECONDS = 60


@pytest.fixture(scope="module")
def known(site: Site) -> dict[str, str]:
    """What must not be found: the secrets, and what can be sent in place of the token."""
    token, webhook = site.environment["TOWPATH_TOKEN"], site.environment["TOWPATH_WEBHOOK_SECRET"]
    assert len(token) > 15
    assert len(webhook) > 15
    return {"token": token, "webhook": webhook, "digest": hashlib.sha256(token.encode()).hexdigest()}


def test_no_history_holds_a_secret(
    site: Site, hello: Arrival, redelivered: Redelivered, known: dict[str, str]
) -> None:
    search = Search(known)
    mine = [f"TowpathComponent = '{app.key}'" for app in (hello.app, redelivered.app)]
    mine.append(f"WorkflowId STARTS_WITH 'push/{quote(normalise(hello.app.url), safe='')}'")
    assert search.histories(site, mine) >= {"push", "applied", "build", "promotion", "lane", "rollout"}
    # The search would find it: what is known to be in a history is found in the same way.
    assert search.holds(hello.first)
    assert search.found() == []


def test_no_log_and_no_metric_of_ours_holds_a_secret(site: Site, hello: Arrival, known: dict[str, str]) -> None:
    search = Search(known)
    search.processes(site)
    assert search.holds("webhook")
    assert search.found() == []


def test_no_status_event_or_workflow_object_holds_a_secret(
    site: Site, hello: Arrival, known: dict[str, str]
) -> None:
    search = Search(known)
    search.objects(site)
    assert search.holds(hello.first)
    assert search.found() == []


@dataclass(frozen=True)
class Wrong:
    """Everything that can go wrong with a secret, done once each with one of its own."""

    app: Application
    hosted: Hosted
    commit: str
    canaries: dict[str, str] = field(repr=False)
    answers: list[httpx.Response] = field(repr=False)
    registered: str = field(repr=False)


@pytest.fixture(scope="module")
def wrong(site: Site, application: Callable[..., Application]) -> Iterator[Wrong]:
    """A private repository whose every secret is a wrong one, and requests with secrets in all sorts of places."""
    # With letters that URL-encoding changes, as people's passwords have them.
    canaries = {what: f"canary/{what}+{random.token_urlsafe(18)}" for what in ("password", "token", "webhook")}
    app = application(Application.hello, "all-wrong")
    with Gitea.of_the_stack() as gitea:
        hosted = gitea.repository(gitea.person("eve"), private=True)
        app.url = hosted.url
        for obj in app.objects:
            obj["spec"]["source"]["git"]["repository"] = hosted.url
        app.repository.git("remote", "set-url", "origin", hosted.with_credentials())
        commit = app.push("Begin")
        objects = [*_secrets(site, canaries), _repository(site, gitea, hosted), *_bindings(site.namespace)]
        site.see.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects))
        app.apply()
        registered = site.towpath_failing("repository", "register", f"{site.namespace}/all-wrong")
        answers = [_pushed(site, app, commit, canaries["webhook"]), *_strays(site, canaries)]

        def refused() -> bool:
            return "GitAuthFailed" in json.dumps(site.see.objects("events", f"--namespace={site.namespace}"))

        site.see.until("the clone that is refused", TOLD_SECONDS, refused)
        yield Wrong(app, hosted, commit, canaries, answers, registered)


def _secrets(site: Site, canaries: dict[str, str]) -> list[dict[str, Any]]:
    texts = {
        "wrong-git": {"username": "eve", "password": canaries["password"]},
        "wrong-token": {"token": canaries["token"]},
        "wrong-webhook": {"secret": canaries["webhook"]},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": site.namespace},
            "stringData": data,
        }
        for name, data in texts.items()
    ]


def _repository(site: Site, gitea: Gitea, hosted: Hosted) -> dict[str, Any]:
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "all-wrong", "namespace": site.namespace},
        "spec": {
            "url": hosted.url,
            "provider": "gitea",
            "webhook": {"secretRefs": [{"name": "wrong-webhook"}]},
            "credentials": {"secretRef": {"name": "wrong-git"}},
            "api": {"url": f"{gitea.url}/api/v1", "tokenSecretRef": {"name": "wrong-token"}},
        },
    }


def _bindings(namespace: str) -> list[dict[str, Any]]:
    accounts = [
        {"kind": "ServiceAccount", "name": name, "namespace": "towpath-control-plane"}
        for name in ("towpath-control", "towpath-server")
    ]
    role = "towpath-repository-secrets"
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": accounts,
        }
    ]


def _pushed(site: Site, app: Application, commit: str, secret: str) -> httpx.Response:
    """A good delivery, once the server has read the secret that signs it."""
    body = Sender.push(app.url, commit)
    signed = {"X-Hub-Signature-256": site.sender.signature(body, secret)}

    def taken() -> httpx.Response | None:
        answer = site.sender.send(body, signed)
        return answer if answer.status_code == httpx.codes.ACCEPTED else None

    answer: httpx.Response = site.see.until("the webhook's own secret", TOLD_SECONDS, taken)
    return answer


def _strays(site: Site, canaries: dict[str, str]) -> list[httpx.Response]:
    """Requests with secrets in headers, addresses and bodies, all of them refused."""
    secret = canaries["webhook"]
    body = Sender.push("https://git.example/team/app.git", "1" * 40)
    inside = Sender.push(f"https://eve:{quote(secret, safe='')}@git.example/team/app.git", "1" * 40)
    basic = base64.b64encode(f"eve:{secret}".encode()).decode()
    sent = [
        site.sender.send(body, {"X-Hub-Signature-256": secret}),
        site.sender.send(body, {"X-Hub-Signature-256": f"sha256={secret}"}),
        site.sender.send(inside),
        site.sender.send(body[:-9] + secret.encode()),
        site.sender.send(body, {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret}, "gitlab"),
        site.sender.send(
            body, {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": secret, "Cookie": secret}, "gitlab"
        ),
        site.sender.send(body, {"X-Gitea-Event": "push", "X-Gitea-Signature": secret}, "gitea"),
        site.sender.send(body, {"X-Event-Key": "repo:push", "X-Hub-Signature": secret}, "bitbucket"),
        site.sender.send(body, {"Authorization": f"Basic {basic}"}, "azure"),
        site.sender.send(body, {"Authorization": f"Bearer {secret}"}, "registry/harbor"),
        site.sender.send(body, {}, f"registry/dockerhub/{quote(secret, safe='')}"),
        site.sender.send(body, {}, f"registry/quay/{quote(secret, safe='')}"),
    ]
    with httpx.Client(base_url=site.environment["TOWPATH_URL"], timeout=20, trust_env=False) as http:
        for header in (f"Bearer {secret}", f"Basic {basic}"):
            sent.append(http.get("/api/v1/components", headers={"Authorization": header}))
    assert [answer.status_code for answer in sent if answer.is_success] == []
    return sent


def test_what_is_refused_for_its_secret_says_so_without_it(site: Site, wrong: Wrong) -> None:
    assert "TokenRefused" in wrong.registered
    search = Search(wrong.canaries, {"register": wrong.registered.encode()})
    for number, answer in enumerate(wrong.answers):
        search.texts[f"answer {number}"] = answer.content + repr(answer.headers).encode()
    assert search.found() == []


def test_nothing_that_went_wrong_has_left_a_secret_behind(site: Site, wrong: Wrong) -> None:
    search = Search(wrong.canaries)
    key = quote(normalise(wrong.hosted.url), safe="")
    mine = [f"WorkflowId STARTS_WITH '{kind}/{key}'" for kind in ("push", "statuses", "ledger", "delivery")]
    mine += [f"TowpathComponent = '{wrong.app.key}'", "WorkflowType = 'Poison'"]
    mine.append(f"WorkflowId STARTS_WITH 'registration/{site.namespace}/'")
    assert search.histories(site, mine) >= {"push", "registration"}
    search.processes(site)
    search.objects(site)
    assert search.holds(wrong.commit)
    assert search.holds("GitAuthFailed")
    assert search.found() == []
