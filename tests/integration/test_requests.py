"""What is said on pull requests, to a real HTTP server that remembers it and answers as GitHub does."""

import json
import logging
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.apiserver import ApiServer
from activities.hosts import Hosts
from activities.outbound import Outbound
from activities.requests import Requests, told
from activities.secrets import Secrets
from deploy.local.settings import Settings as StackSettings
from model.destination import Reach
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.request_report import Report, marker
from model.resources.declared import read
from model.resources.repository import Repository

TOKEN = "ghp_a-token-that-nobody-may-see"
REPOSITORY = "github.example/team/web"
COMMIT = "a" * 40


@dataclass
class Provider:
    """A server that keeps statuses and comments. `answers` (status, headers, body) go before its own."""

    address: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    comments: dict[int, str] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)
    forbidden: set[int] = field(default_factory=set)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
        self.asked.append((method, path, body))
        if self.answers:
            return self.answers.pop(0)
        place, _, query = path.partition("?")
        if place == f"/api/v3/repos/team/web/statuses/{COMMIT}":
            self.statuses.append(body)
            return 201, {}, {}
        if place == "/api/v3/repos/team/web/issues/12/comments" and method == "POST":
            number = len(self.comments) + 1
            self.comments[number] = body["body"]
            return 201, {}, {"id": number, "body": body["body"]}
        if place == "/api/v3/repos/team/web/issues/12/comments":
            page = int(query.rpartition("=")[2])
            found = [{"id": number, "body": text} for number, text in sorted(self.comments.items())]
            return 200, {}, found[(page - 1) * 50 : page * 50]
        number = int(place.rpartition("/")[2]) if place.rpartition("/")[2].isdigit() else 0
        if method == "PATCH" and number in self.comments:
            if number in self.forbidden:
                return 403, {}, {"message": "Must have admin rights"}
            self.comments[number] = body["body"]
            return 200, {}, {"id": number}
        return 404, {}, {"message": "Not Found"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    kept = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            kept.tokens.add(self.headers.get("Authorization", ""))
            status, headers, content = kept.answer(self.command, self.path, body)
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815  (the library's names)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    kept.address = f"http://127.0.0.1:{server.server_port}/api/v3"
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


def report(**changed: Any) -> Report:
    return Report.model_validate(
        {
            "repository": REPOSITORY,
            "namespace": "default",
            "change": "12",
            "commit": COMMIT,
            "component": "web",
            "state": "pending",
            "title": "builds",
            **changed,
        }
    )


class Tokens:
    """Secrets that hold the one token."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return TOKEN


OUTBOUND = Outbound(Reach(hosts=("127.0.0.1",)))


def declared(address: str) -> dict[str, Any]:
    spec = {
        "url": f"https://{REPOSITORY}.git",
        "provider": "github",
        "api": {"url": address, "tokenSecretRef": {"name": "github"}},
    }
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": "towpath.dev/v1alpha1", "kind": "Repository", "metadata": metadata, "spec": spec}


async def say(provider: Provider, said: Report) -> int:
    async with Hosts(Tokens(), OUTBOUND).open(read(Repository, declared(provider.address))) as github:
        return await told(github, said)


async def test_the_commit_gets_a_status_and_the_request_one_comment(provider: Provider) -> None:
    comment = await say(provider, report())
    known = await say(
        provider,
        report(state="success", title="is ready", address="http://10.0.0.7:80/", comment=comment, message="ok"),
    )
    assert [status["state"] for status in provider.statuses] == ["pending", "success"]
    assert provider.statuses[1]["context"] == "towpath/preview/web"
    assert provider.statuses[1]["target_url"] == "http://10.0.0.7:80/"
    assert (comment, known, len(provider.comments)) == (1, 1, 1)
    assert "http://10.0.0.7:80/" in provider.comments[1]
    assert provider.tokens == {f"Bearer {TOKEN}"}


async def test_a_comment_whose_answer_was_lost_is_found_again(provider: Provider) -> None:
    provider.comments = {number: f"talk {number}" for number in range(1, 60)}
    provider.comments[60] = marker(report()) + " of an earlier try"
    assert await say(provider, report()) == 60
    assert len(provider.comments) == 60


async def test_two_components_of_one_repository_each_have_their_own(provider: Provider) -> None:
    await say(provider, report())
    await say(provider, report(component="api"))
    await say(provider, report(state="success"))
    assert len(provider.comments) == 2
    assert {status["context"] for status in provider.statuses} == {"towpath/preview/web", "towpath/preview/api"}


async def test_a_comment_that_somebody_deleted_is_written_anew(provider: Provider) -> None:
    assert await say(provider, report(comment=77)) == 1
    assert list(provider.comments) == [1]


async def test_somebody_elses_comment_that_quotes_ours_is_left_alone(provider: Provider) -> None:
    provider.comments = {1: marker(report()) + " quoted"}
    provider.forbidden = {1}
    assert await say(provider, report()) == 2
    assert provider.comments[1].endswith("quoted")


async def test_a_change_that_is_no_pull_request_gets_a_status_only(provider: Provider) -> None:
    assert await say(provider, report(change="my-idea")) == 0
    assert (len(provider.statuses), provider.comments) == (1, {})


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason", "wait"),
    [
        (500, {}, InfrastructureFailure, "ProviderUnavailable", None),
        (503, {"Retry-After": "7"}, InfrastructureFailure, "ProviderUnavailable", 7.0),
        (429, {"Retry-After": "99999"}, InfrastructureFailure, "ProviderUnavailable", 900.0),
        (403, {"Retry-After": "60"}, InfrastructureFailure, "ProviderUnavailable", 60.0),
        (403, {}, UserFailure, "ProviderRefused", None),
        (401, {}, UserFailure, "TokenRefused", None),
        (404, {}, NotFound, "ProviderNotFound", None),
        (302, {"Location": "http://127.0.0.1:1/"}, UserFailure, "ProviderRefused", None),
        (422, {}, UserFailure, "ProviderInvalid", None),
    ],
)
async def test_what_a_refusal_means(
    provider: Provider,
    status: int,
    headers: dict[str, str],
    kind: type[Failure],
    reason: str,
    wait: float | None,
) -> None:
    provider.answers = [(status, headers, {"message": f"bad token {TOKEN}\n\x1b[31m"})]
    with pytest.raises(kind) as refused:
        await say(provider, report())
    assert (type(refused.value), refused.value.reason) == (kind, reason)
    assert TOKEN not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert getattr(refused.value, "retry_after", None) == wait


async def test_a_rate_limit_that_is_used_up_is_waited_for(provider: Provider) -> None:
    provider.answers = [(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, {"message": "limit"})]
    with pytest.raises(InfrastructureFailure) as refused:
        await say(provider, report())
    assert refused.value.retry_after == 1.0


async def test_an_answer_without_end_is_not_read_to_it(provider: Provider) -> None:
    provider.answers = [(200, {}, b"[" * (9 * 1024 * 1024))]
    with pytest.raises(UserFailure, match="exceeds"):
        await say(provider, report())


async def test_nobody_at_home_is_the_infrastructures_failure() -> None:
    with pytest.raises(InfrastructureFailure, match="cannot be reached"):
        await say(Provider(address="http://127.0.0.1:1/api/v3"), report())


async def test_what_people_wrote_is_quoted_in_the_comment(provider: Provider) -> None:
    await say(provider, report(message="@everyone see #1 | `rm` </td>\n\n# Big"))
    (text,) = provider.comments.values()
    assert "`@everyone see #1 \\| 'rm' </td> # Big`" in text
    assert "\n# Big" not in text


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    server = await ApiServer.connect(str(StackSettings.from_environment().kubeconfig))
    yield server
    await server.close()


@pytest_asyncio.fixture
async def namespace(cluster: ApiServer) -> AsyncIterator[str]:
    name = f"test-requests-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete("v1", "Namespace", name)


async def declare(cluster: ApiServer, namespace: str, provider: Provider, api: bool = True) -> None:
    spec: dict[str, Any] = {"url": f"https://{REPOSITORY}.git", "provider": "github"}
    if api:
        spec["api"] = {"url": provider.address, "tokenSecretRef": {"name": "github"}}
    metadata = {"name": "web", "namespace": namespace}
    await cluster.create(
        {"apiVersion": "towpath.dev/v1alpha1", "kind": "Repository", "metadata": metadata, "spec": spec}
    )


@pytest.mark.stack
async def test_the_repositorys_own_api_and_token_are_used(
    provider: Provider, cluster: ApiServer, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await declare(cluster, namespace, provider)
    requests = Requests(cluster, Hosts(Secrets(cluster), OUTBOUND))
    environment = ActivityEnvironment()
    said = report(namespace=namespace)
    with pytest.raises(NotFound, match="tokenSecretRef"):
        await environment.run(requests.report, said)
    secret = {"name": "github", "namespace": namespace}
    await cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": secret, "stringData": {"token": f"{TOKEN}\n"}}
    )
    reported = await environment.run(requests.report, said)
    assert (reported.comment, provider.tokens) == (1, {f"Bearer {TOKEN}"})
    assert TOKEN not in reported.model_dump_json()
    assert TOKEN not in caplog.text


@pytest.mark.stack
async def test_a_repository_without_an_api_is_not_told_which_is_no_failure(
    provider: Provider, cluster: ApiServer, namespace: str
) -> None:
    requests = Requests(cluster, Hosts(Secrets(cluster), OUTBOUND))
    said = report(namespace=namespace, comment=3)
    unknown = await ActivityEnvironment().run(requests.report, said)
    await declare(cluster, namespace, provider, api=False)
    silent = await ActivityEnvironment().run(requests.report, said)
    assert provider.asked == []
    assert {unknown.comment, silent.comment} == {3}
    assert "api" in unknown.skipped
    assert "api" in silent.skipped


@pytest.mark.stack
@pytest.mark.parametrize("url", ["ftp://x/y", "https://user:pass@host/", "file:///etc/passwd", "https://"])
async def test_an_api_that_is_no_address_is_refused_when_it_is_applied(
    cluster: ApiServer, namespace: str, url: str
) -> None:
    with pytest.raises(UserFailure, match="url"):
        await declare(cluster, namespace, Provider(address=url))
