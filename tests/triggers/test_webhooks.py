"""What a sender gets: each bad input its status and problem document, and nothing started."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.change_request import ChangeRequest
from model.failure import UserFailure
from model.push import Ignored, Ping, Push
from model.ref_deleted import RefDeleted
from tests.triggers.fakes import (
    COMMIT,
    OLDER,
    URL,
    FakeApiServer,
    FakeSecrets,
    component_object,
    repository_object,
)
from tests.triggers.serving import SECRET, Parts, git_push, post_git, serving, signed
from triggers.problem import Problem
from triggers.server import PROVIDERS, ServerSettings
from triggers.webhooks.document import Document
from triggers.webhooks.git import Git
from triggers.webhooks.github import GitHub

ZERO = "0" * 40


def assert_problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["reason"]) == (status, reason), document
    assert response.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert {"type", "title", "detail"} <= document.keys()
    return document


def github_body(**changed: Any) -> bytes:
    return json.dumps(
        {
            "ref": "refs/heads/main",
            "before": OLDER,
            "after": COMMIT,
            "forced": False,
            "repository": {"clone_url": URL, "ssh_url": "git@git.example:team/hello-world.git"},
            "pusher": {"name": "ada", "email": "ada@example"},
            **changed,
        }
    ).encode()


async def post_github(
    client: httpx.AsyncClient, body: bytes, event: str = "push", **headers: str
) -> httpx.Response:
    sent = {"X-GitHub-Event": event, "X-GitHub-Delivery": "72d3162e-cc78", "X-Hub-Signature-256": signed(body)}
    return await client.post("/webhooks/github", content=body, headers={**sent, **headers})


async def test_a_signed_push_starts_one_delivery(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await post_git(client, git_push(pusher="ada"))
    workflow = f"push/git.example%2Fteam%2Fhello-world/refs/heads/main/{COMMIT}"
    assert response.status_code == 202
    assert response.json() == {
        "workflow": workflow,
        "duplicate": False,
        "url": "http://ui.example/namespaces/default/workflows/"
        f"push%2Fgit.example%252Fteam%252Fhello-world%2Frefs%2Fheads%2Fmain%2F{COMMIT}",
    }
    push = parts.starter.started[workflow]
    assert (push.url, push.ref, push.after, push.before) == (URL, "refs/heads/main", COMMIT, OLDER)
    assert push.sequence >= 1_700_000_000_000
    assert push.actor.name == "ada"


async def test_github_json_and_form_are_the_same_push(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        first = await post_github(client, github_body())
        form = urlencode({"payload": github_body().decode()}).encode()
        second = await post_github(client, form, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert (first.status_code, first.json()["duplicate"]) == (202, False)
    assert (second.status_code, second.json()["duplicate"]) == (202, True)
    assert first.json()["workflow"] == second.json()["workflow"]


async def test_two_identical_deliveries_start_one_pipeline(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        answers = await asyncio.gather(*(post_git(client, git_push()) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert len(parts.starter.started) == 1


async def test_a_forced_push_back_to_a_commit_is_another_delivery(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        first = await post_git(client, git_push())
        forced = await post_git(client, git_push(before="3" * 40, forced=True))
        again = await post_git(client, git_push(before="3" * 40, forced=True))
    assert first.json()["workflow"] != forced.json()["workflow"]
    assert not forced.json()["duplicate"]
    assert again.json()["duplicate"]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"X-Hub-Signature-256": ""}, "SignatureMissing"),
        ({"X-Hub-Signature-256": "sha256="}, "SignatureWrong"),
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, "SignatureWrong"),
        ({"X-Hub-Signature-256": "sha1=" + "0" * 40}, "SignatureWrong"),
        ({"X-Hub-Signature-256": signed(b"something else")}, "SignatureWrong"),
        ({"X-Hub-Signature-256": signed(json.dumps(git_push()).encode(), "guessed")}, "SignatureWrong"),
        ({"X-Hub-Signature-256": signed(json.dumps(git_push()).encode())[7:]}, "SignatureWrong"),
    ],
)
async def test_what_is_not_signed_rightly_is_refused(tmp_path: Path, headers: dict[str, str], reason: str) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        body = git_push(repository={"url": "https://git.example/unknown/repository"})
        known, unknown = await post_git(client, git_push(), **headers), await post_git(client, body, **headers)
        assert_problem(known, 401, reason)
        if headers["X-Hub-Signature-256"] != signed(json.dumps(git_push()).encode()):
            assert unknown.json() == known.json(), "an unsigned sender learns which repositories are known"
    assert not parts.starter.started


async def test_both_live_secrets_are_good_during_rotation(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        assert (await post_git(client, git_push(), secret=SECRET)).status_code == 202
        assert (await post_git(client, git_push(), secret="next-secret")).status_code == 202


async def test_without_any_secret_everything_is_refused(tmp_path: Path) -> None:
    parts = Parts(settings=ServerSettings(webhook_secrets=("",)))
    async with serving(parts, tmp_path) as client:
        assert_problem(await post_git(client, git_push(), secret=""), 401, "SignatureWrong")


async def test_a_repositorys_own_secret_takes_the_platforms_place(tmp_path: Path) -> None:
    apiserver = FakeApiServer(component_object(observedGeneration=1), repository_object(URL, "mine"))
    parts = Parts(apiserver=apiserver, secrets=FakeSecrets(mine="own-secret"))
    async with serving(parts, tmp_path) as client:
        assert (await post_git(client, git_push(), secret="own-secret")).status_code == 202
        assert_problem(await post_git(client, git_push(), secret=SECRET), 401, "SignatureWrong")
        body = git_push(repository={"url": "https://git.example/another"})
        assert_problem(await post_git(client, body, secret="own-secret"), 401, "SignatureWrong")
        assert_problem(await post_git(client, b"{", secret=SECRET), 400, "MalformedPayload")
        assert_problem(await post_git(client, b"{", secret="own-secret"), 401, "SignatureWrong")


async def test_a_secret_that_cannot_be_read_is_no_open_door(tmp_path: Path) -> None:
    apiserver = FakeApiServer(component_object(observedGeneration=1), repository_object(URL, "missing"))
    async with serving(Parts(apiserver=apiserver), tmp_path) as client:
        for secret in (SECRET, ""):
            assert_problem(await post_git(client, git_push(), secret=secret), 401, "SignatureWrong")


BAD_BODIES = [
    (b"", "MalformedPayload"),
    (b"{", "MalformedPayload"),
    (b"[]", "MalformedPayload"),
    (b"\xff\xfe", "MalformedPayload"),
    (b"[" * 100_000, "MalformedPayload"),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "MalformedPayload"),
    (b'{"ref": ' + b"9" * 100_000 + b"}", "MalformedPayload"),
    (json.dumps(git_push(ref=7)).encode(), "MalformedPayload"),
    (json.dumps({"repository": {"url": URL}}).encode(), "MalformedPayload"),
    (json.dumps(git_push(ref="refs/heads/--upload-pack=touch")).encode(), "BadRef"),
    (json.dumps(git_push(ref="refs/heads/a..b")).encode(), "BadRef"),
    (json.dumps(git_push(ref="main")).encode(), "BadRef"),
    (json.dumps(git_push(after="HEAD")).encode(), "BadCommit"),
    (json.dumps(git_push(before="-x")).encode(), "BadCommit"),
    (json.dumps(git_push(repository={"url": "ext::sh -c id"})).encode(), "BadRepositoryAddress"),
    (json.dumps(git_push(repository={"url": "file:///etc/passwd"})).encode(), "BadRepositoryAddress"),
    (json.dumps(git_push(repository={"url": "--upload-pack=id"})).encode(), "BadRepositoryAddress"),
]


@pytest.mark.parametrize(("body", "reason"), BAD_BODIES)
async def test_malformed_bodies_are_refused(tmp_path: Path, body: bytes, reason: str) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        assert_problem(await post_git(client, body), 400, reason)
    assert not parts.starter.started


async def test_missing_event_and_delivery_headers_are_refused(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        assert_problem(await post_git(client, git_push(), X_Towpath_Event=""), 400, "EventMissing")
        assert_problem(await post_git(client, git_push(), X_Towpath_Delivery="a b"), 400, "DeliveryMissing")
        assert_problem(await post_github(client, github_body(), event=""), 400, "EventMissing")


async def test_an_unknown_repository_is_not_found(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await post_git(client, git_push(repository={"url": "https://git.example/team/other"}))
        document = assert_problem(response, 404, "UnknownRepository")
        assert "git.example/team/other" in document["detail"]
    assert not parts.starter.started


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/v1"])
async def test_a_deleted_ref_is_told_and_never_built(tmp_path: Path, ref: str) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        for response in (
            await post_git(client, git_push(after=ZERO, ref=ref)),
            await post_github(client, github_body(after=ZERO, ref=ref)),
        ):
            assert response.status_code == 202
    assert not parts.starter.started
    (told,) = parts.starter.events.values()
    assert isinstance(told, RefDeleted)
    assert (told.ref, told.repository) == (ref, "git.example/team/hello-world")


async def test_a_pushed_tag_is_a_push_of_its_own(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        await post_git(client, git_push(ref="refs/tags/v1.0.0", before=ZERO))
        await post_git(client, git_push())
    assert [push.ref for push in parts.starter.started.values()] == ["refs/tags/v1.0.0", "refs/heads/main"]


async def test_pings_and_other_events_are_answered_and_start_nothing(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        ping = await post_github(client, b'{"zen": "Keep it logically awesome."}', event="ping")
        other = await post_github(client, b"{}", event="star")
        git_ping = await post_git(client, b"{}", X_Towpath_Event="ping")
        unsigned = await post_github(client, b"{}", event="ping", **{"X-Hub-Signature-256": ""})
    assert (ping.status_code, ping.json()) == (200, {"pong": True})
    assert git_ping.status_code == 200
    assert (other.status_code, other.json()["reason"]) == (200, "EventNotUsed")
    assert_problem(unsigned, 401, "SignatureMissing")
    assert not parts.starter.started


async def test_a_body_that_says_it_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    read = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"x"

    async with serving(Parts(), tmp_path) as client:
        headers = {"Content-Length": str(26 * 1024 * 1024)}
        response = await client.post("/webhooks/git", content=content(), headers=headers)
        assert_problem(response, 413, "BodyTooLarge")
        absurd = await client.post("/webhooks/git", content=content(), headers={"Content-Length": "9" * 5000})
        assert_problem(absurd, 413, "BodyTooLarge")
    assert read <= 2


async def test_an_endless_body_is_refused_without_buffering_it(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b"x" * 65536

    settings_ = ServerSettings(webhook_secrets=(SECRET,), webhook_body_limit=1024 * 1024)
    async with serving(Parts(settings=settings_), tmp_path) as client:
        assert_problem(await client.post("/webhooks/git", content=endless()), 413, "BodyTooLarge")
        assert sent <= 1024 * 1024 + 2 * 65536
        assert (await post_git(client, git_push())).status_code == 202


async def test_a_slow_sender_times_out(tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with serving(Parts(), tmp_path) as client:
        assert_problem(await client.post("/webhooks/git", content=slow()), 408, "BodyTimeout")


async def test_many_slow_senders_cannot_fill_the_memory(tmp_path: Path) -> None:
    settings_ = ServerSettings(webhook_secrets=(SECRET,), buffered_limit=100_000, body_seconds=0.3)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 60_000
        await asyncio.Event().wait()

    async with serving(Parts(settings=settings_), tmp_path) as client:
        answers = await asyncio.gather(*(client.post("/webhooks/git", content=slow()) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [408, 503, 503]
        assert (await post_git(client, git_push())).status_code == 202


async def test_temporal_down_is_never_a_false_yes(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        parts.starter.down = True
        response = await post_git(client, git_push())
        assert_problem(response, 503, "TemporalUnavailable")
        assert int(response.headers["Retry-After"]) > 0
        parts.starter.down = False
        redelivered = await post_git(client, git_push())
    assert (redelivered.status_code, redelivered.json()["duplicate"]) == (202, False)


async def test_before_everything_declared_is_read_webhooks_are_put_off(tmp_path: Path) -> None:
    parts = Parts()
    parts.apiserver.listable.clear()
    async with serving(parts, tmp_path, wait_ready=False) as client:
        assert_problem(await client.get("/readyz"), 503, "NotReady")
        response = await post_git(client, git_push())
        assert_problem(response, 503, "NotReady")
        assert "Retry-After" in response.headers
        assert (await client.get("/healthz")).status_code == 200
    assert not parts.starter.started


async def test_only_declared_addresses_reach_git(tmp_path: Path) -> None:
    """A sender's http:// does not replace the https:// (and its credentials) of whoever declared it."""
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await post_git(client, git_push(repository={"url": "git@GIT.example:team/hello-world"}))
    assert response.status_code == 202
    assert [push.url for push in parts.starter.started.values()] == [URL]


async def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    body = json.dumps(git_push(password="body-secret")).encode()
    with structlog.testing.capture_logs() as logged:
        async with serving(Parts(), tmp_path) as client:
            for signature in (signed(body), signed(body, "wrong"), ""):
                headers = {
                    "Authorization": "Bearer header-secret",
                    "Cookie": "a=cookie-secret",
                    "X-Token": "x-secret",
                }
                headers |= {"X-Hub-Signature-256": signature, "X-Towpath-Event": "push", "X-Towpath-Delivery": "d"}
                await client.post("/webhooks/git?token=query-secret", content=body, headers=headers)
    text = json.dumps(logged, default=str)
    assert "Accepted" in text
    for secret in (
        SECRET,
        "next-secret",
        "header-secret",
        "cookie-secret",
        "x-secret",
        "body-secret",
        "query-secret",
    ):
        assert secret not in text
    assert signed(body)[7:] not in text


async def test_outcomes_are_counted_by_provider(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        await post_git(client, git_push())
        await post_git(client, git_push())
        await post_git(client, git_push(), secret="wrong")
        text = (await client.get("/metrics")).text
    for outcome in ("Accepted", "Duplicate", "SignatureWrong"):
        assert f'towpath_webhooks_total{{outcome="{outcome}",provider="git"}} 1.0' in text
    assert 'towpath_webhook_seconds_count{provider="git"} 3.0' in text
    assert "towpath_server_ready 1.0" in text


async def test_metrics_tell_how_many_releases_wait_for_people(tmp_path: Path) -> None:
    waiting = {"environments": [{"name": "staging"}, {"name": "production", "waitingRelease": "hello-1"}]}
    component = component_object(observedGeneration=1) | {"status": waiting}
    parts = Parts(apiserver=FakeApiServer(component))
    async with serving(parts, tmp_path) as client:
        assert 'towpath_gates_waiting{environment="production"} 1.0' in (await client.get("/metrics")).text
        parts.apiserver.tell("MODIFIED", component | {"status": {"environments": [{"name": "production"}]}})
        while "towpath_gates_waiting{" in (await client.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_other_methods_and_providers_are_problems(tmp_path: Path) -> None:
    async with serving(Parts(), tmp_path) as client:
        assert_problem(await client.post("/webhooks/subversion"), 404, "NoSuchPage")
        assert (await client.get("/webhooks/git")).status_code == 405


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
mostly_push = st.fixed_dictionaries(
    {},
    optional={
        "repository": json_values | st.fixed_dictionaries({"url": json_values, "clone_url": json_values}),
        "ref": json_values | st.sampled_from(["refs/heads/main", "refs/tags/x", "refs/heads/\u0000"]),
        "before": json_values | st.sampled_from([ZERO, OLDER]),
        "after": json_values | st.sampled_from([ZERO, COMMIT]),
        "forced": json_values,
        "pusher": json_values,
    },
)
events = st.sampled_from(["push", "ping", "create", "pull_request", "change", "", "\u00e9", "x" * 100])


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: str(provider.name))
@given(content=st.binary(max_size=200) | mostly_push.map(lambda each: json.dumps(each).encode()), event=events)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_parsers_answer_or_refuse_and_never_crash(provider: Any, content: bytes, event: str) -> None:
    headers = {
        "x-github-event": event,
        "x-github-delivery": "d",
        "x-towpath-event": event,
        "x-towpath-delivery": "d",
        "content-type": "application/x-www-form-urlencoded" if content[:1] == b"p" else "application/json",
    }
    try:
        document = provider.read(headers, content)
        provider.addresses(document)
        parsed = provider.parse(headers, document)
    except Problem as problem:
        assert problem.status == 400  # noqa: PT017  (any of three ends is fine)
    except UserFailure as failure:
        assert failure.reason in ("BadRepositoryAddress", "BadRef", "BadCommit", "BadChange")  # noqa: PT017
    else:
        assert parsed
        assert all(isinstance(event, Push | RefDeleted | ChangeRequest | Ping | Ignored) for event in parsed)


def test_names_shown_to_people_are_cut_and_printable() -> None:
    document = Document.read(json.dumps(git_push(pusher="a\u001b[31m\n" + "b" * 999)).encode())
    (push,) = Git().parse({"x-towpath-event": "push", "x-towpath-delivery": "d"}, document)
    assert isinstance(push, Push)
    assert len(push.actor.name) <= 200
    assert push.actor.name.isprintable()


def test_a_created_branch_is_a_push_and_not_forced() -> None:
    document = Document.read(github_body(before=ZERO, forced=True))
    (push,) = GitHub().parse({"x-github-event": "push", "x-github-delivery": "d"}, document)
    assert isinstance(push, Push)
    assert not push.forced
