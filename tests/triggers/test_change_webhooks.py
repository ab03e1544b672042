"""What whoever keeps change requests gets for announcing them."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.change_request import ChangeRequest
from model.failure import UserFailure
from model.push import Ignored, Ping
from tests.triggers.fakes import COMMIT, OLDER, URL, FakeApiServer
from tests.triggers.serving import Parts, post_git, serving, signed
from triggers.problem import Problem
from triggers.webhooks.document import Document
from triggers.webhooks.git import Git
from triggers.webhooks.github import GitHub

REFUSALS = ("BadRepositoryAddress", "BadRef", "BadCommit", "BadChange")
BEGAN = 1_700_000_000_000


def pull_request(action: str = "opened", **changed: Any) -> dict[str, Any]:
    """GitHub's payload, as far as it is read. `changed` goes into `pull_request`."""
    repository = {"clone_url": URL, "ssh_url": "git@git.example:team/hello-world.git"}
    return {
        "action": action,
        "number": 12,
        "repository": repository,
        "sender": {"login": "ann"},
        "pull_request": {
            "number": 12,
            "title": "Greet differently",
            "updated_at": "2023-11-14T22:13:20Z",
            "head": {"ref": "feature", "sha": COMMIT, "repo": repository},
            "base": {"ref": "main", "sha": OLDER, "repo": repository},
            **changed,
        },
    }


def change(**changed: Any) -> dict[str, Any]:
    """The body of our own format."""
    return {
        "repository": {"url": URL},
        "action": "opened",
        "change": "12",
        "head": {"ref": "feature", "commit": COMMIT},
        "base": {"ref": "refs/heads/main"},
        **changed,
    }


async def post_github(client: httpx.AsyncClient, content: dict[str, Any], **headers: str) -> httpx.Response:
    body = json.dumps(content).encode()
    sent = {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": "72d3162e-cc78",
        "X-Hub-Signature-256": signed(body),
    }
    return await client.post("/webhooks/github", content=body, headers={**sent, **headers})


def github(content: dict[str, Any]) -> Any:
    headers = {"x-github-event": "pull_request", "x-github-delivery": "d"}
    (event,) = GitHub().parse(headers, Document.read(json.dumps(content).encode()))
    return event


def git(content: dict[str, Any]) -> Any:
    headers = {"x-towpath-event": "change", "x-towpath-delivery": "d"}
    (event,) = Git().parse(headers, Document.read(json.dumps(content).encode()))
    return event


async def test_a_signed_pull_request_starts_one_change_delivery(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        first = await post_github(client, pull_request())
        again = await post_github(client, pull_request())
    workflow = "change/git.example%2Fteam%2Fhello-world/12/72d3162e-cc78"
    assert (first.status_code, first.json()["workflow"], first.json()["duplicate"]) == (202, workflow, False)
    assert (again.status_code, again.json()["duplicate"]) == (202, True)
    (asked,) = parts.starter.changes.values()
    assert (asked.action, asked.change, asked.branch, asked.base) == ("open", "12", "feature", "main")
    assert (asked.head, asked.before, asked.fork) == (COMMIT, OLDER, False)
    assert (asked.order, asked.title, asked.actor.name) == (BEGAN, "Greet differently", "ann")
    assert asked.sequence >= BEGAN
    assert asked.url == URL
    assert parts.starter.started == {}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"X-Hub-Signature-256": ""}, "SignatureMissing"), ({"X-Hub-Signature-256": "sha256=00"}, "SignatureWrong")],
)
async def test_an_unsigned_pull_request_starts_nothing(
    tmp_path: Path, headers: dict[str, str], reason: str
) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await post_github(client, pull_request(), **headers)
    assert (response.status_code, response.json()["reason"]) == (401, reason)
    assert parts.starter.changes == {}


async def test_a_request_of_a_repository_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    parts = Parts(apiserver=FakeApiServer())
    async with serving(parts, tmp_path) as client:
        response = await post_github(client, pull_request())
        own = await post_git(client, change(), X_Towpath_Event="change")
    assert [answer.json()["reason"] for answer in (response, own)] == ["UnknownRepository"] * 2
    assert parts.starter.changes == {}


async def test_temporal_being_away_is_said_and_nothing_is_acknowledged(tmp_path: Path) -> None:
    parts = Parts()
    parts.starter.down = True
    async with serving(parts, tmp_path) as client:
        response = await post_github(client, pull_request())
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")


async def test_our_own_format_says_the_same(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        response = await post_git(client, change(title="T", author="ann"), X_Towpath_Event="change")
    assert response.status_code == 202
    (asked,) = parts.starter.changes.values()
    assert (asked.action, asked.change, asked.branch, asked.base) == ("open", "12", "feature", "main")
    assert (asked.head, asked.before, asked.order) == (COMMIT, "", 0)


@pytest.mark.parametrize(
    ("action", "meaning"),
    [("opened", "open"), ("reopened", "open"), ("synchronize", "update"), ("closed", "close")],
)
def test_what_github_calls_it(action: str, meaning: str) -> None:
    parsed = github(pull_request(action))
    assert isinstance(parsed, ChangeRequest)
    assert parsed.action == meaning


def test_an_edited_request_counts_when_it_goes_elsewhere_only() -> None:
    assert isinstance(github(pull_request("edited")), Ignored)
    elsewhere = github({**pull_request("edited"), "changes": {"base": {"ref": {"from": "main"}}}})
    assert isinstance(elsewhere, ChangeRequest)
    assert elsewhere.action == "update"


@pytest.mark.parametrize("action", ["labeled", "assigned", "review_requested", "synchronize\n"])
def test_other_actions_change_no_preview(action: str) -> None:
    parsed = github(pull_request(action))
    assert isinstance(parsed, Ignored)
    assert parsed.reason == "ActionNotUsed"


@pytest.mark.parametrize(
    "repo", [{"clone_url": "https://git.example/mallory/hello-world.git"}, None, {"clone_url": 7}, "x"]
)
def test_a_branch_of_another_repository_is_a_fork(repo: Any) -> None:
    parsed = github(pull_request(head={"ref": "feature", "sha": COMMIT, "repo": repo}))
    assert isinstance(parsed, ChangeRequest)
    assert parsed.fork


def test_a_fork_in_our_own_format() -> None:
    other = {"ref": "feature", "commit": COMMIT, "repository": {"url": "https://git.example/mallory/x.git"}}
    same = {"ref": "feature", "commit": COMMIT, "repository": {"url": "git@git.example:team/hello-world"}}
    assert git(change(head=other)).fork
    assert not git(change(head=same)).fork


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (change(change="../x"), "BadChange"),
        (change(change="UPPER"), "BadChange"),
        (change(change="a" * 31), "BadChange"),
        (change(head={"ref": "--upload-pack=x", "commit": COMMIT}), "BadRef"),
        (change(head={"ref": "feature", "commit": "HEAD"}), "BadCommit"),
        (change(base={"ref": "main", "commit": "x"}), "BadCommit"),
        (change(repository={"url": "ext::sh -c id"}), "BadRepositoryAddress"),
    ],
)
def test_what_must_not_reach_git_or_a_name_is_refused(content: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserFailure) as refused:
        git(content)
    assert refused.value.reason == reason


@pytest.mark.parametrize("number", [0, -1, True, "12", 1.5, None, 10**13])
def test_a_pull_requests_number_is_one(number: Any) -> None:
    with pytest.raises(Problem, match=r"pull_request\.number"):
        github(pull_request(number=number))


def test_an_unknown_action_of_our_own_format_is_named() -> None:
    with pytest.raises(Problem, match="opened, updated, closed"):
        git(change(action="merged"))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from([URL, COMMIT, "main"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        ("action",), ("repository",), ("repository", "clone_url"), ("repository", "url"), ("pull_request",),
        ("pull_request", "number"), ("pull_request", "head"), ("pull_request", "head", "ref"),
        ("pull_request", "head", "sha"), ("pull_request", "head", "repo"), ("pull_request", "base", "ref"),
        ("pull_request", "updated_at"), ("pull_request", "title"), ("sender", "login"), ("change",), ("head",),
        ("head", "ref"), ("head", "commit"), ("head", "repository"), ("head", "repository", "url"),
        ("base", "ref"),
        ("base", "commit"), ("updatedAt",), ("author",), ("title",),
    ]
)  # fmt: skip


@given(changes=st.dictionaries(PATHS, ANYTHING, max_size=3))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_in_it_is_read_or_refused(changes: dict[tuple[str, ...], Any]) -> None:
    """What is answered is a 2xx or a 4xx, never a crash, and what is read is fit for names and for Git."""
    for parse, content in ((github, pull_request()), (git, change())):
        for path, found in changes.items():
            place: Any = content
            for name in path[:-1]:
                place = place.get(name) if isinstance(place, dict) else None
            if isinstance(place, dict):
                place[path[-1]] = found
        try:
            parsed = parse(content)
        except Problem as problem:
            assert problem.status == 400  # noqa: PT017  (any of three ends is fine)
            continue
        except UserFailure as failure:
            assert failure.reason in REFUSALS  # noqa: PT017
            continue
        assert isinstance(parsed, ChangeRequest | Ignored | Ping)
        if isinstance(parsed, ChangeRequest):
            assert 0 < len(parsed.change) <= 30
            assert len(parsed.title) <= 200
            assert parsed.at >= 0
