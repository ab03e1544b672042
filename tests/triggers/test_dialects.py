"""What every sender says in its own dialect, and what is understood: the same of all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.change_request import ChangeRequest
from model.comment import BODY_LIMIT, Comment
from model.event import Event
from model.failure import UserFailure
from model.push import Ignored, Ping, Push
from model.ref_deleted import RefDeleted
from tests.triggers.dialects import (
    ADA,
    BOB,
    MILLISECONDS,
    NEWER,
    OLDER,
    ZERO,
    Delivery,
    azure,
    bitbucket_cloud,
    bitbucket_datacenter,
    git,
    gitea,
    github,
    gitlab,
)
from triggers.problem import Problem
from triggers.server import PROVIDERS
from triggers.starter import workflow_of
from triggers.webhooks.document import LIST_LIMIT, Document

REPOSITORY = "git.example/team/hello-world"
EXAMPLES = Path(__file__).parent.parent / "data" / "webhooks" / "github" / "examples.json"
DIALECTS: dict[str, Any] = {
    "GitHub": github,
    "GitLab": gitlab,
    "Bitbucket Cloud": bitbucket_cloud,
    "Bitbucket Data Center": bitbucket_datacenter,
    "Gitea": gitea,
    "Azure DevOps": azure,
    "plain Git": git,
}
every_sender = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


def understood(delivery: Delivery) -> tuple[Event, ...]:
    """What the provider of that address reads in it."""
    provider = next(each for each in PROVIDERS if each.name == delivery.provider)
    headers = {name.lower(): text for name, text in delivery.headers.items()}
    return provider.parse(headers, provider.read(headers, delivery.body))


def only(delivery: Delivery) -> Any:
    (event,) = understood(delivery)
    return event


@every_sender
def test_a_push_to_a_branch(dialect: Any) -> None:
    push = only(dialect.push())
    assert isinstance(push, Push)
    assert (push.repository, push.ref) == (REPOSITORY, "refs/heads/main")
    assert (push.before, push.after, push.forced) == (OLDER, NEWER, False)
    assert push.actor.name in (ADA, azure.UNIQUE)
    assert push.delivery


@every_sender
def test_a_new_branch_is_a_push_from_nowhere(dialect: Any) -> None:
    push = only(dialect.push(ref="refs/heads/feature/new", before=ZERO))
    assert isinstance(push, Push)
    assert (push.ref, push.before, push.forced) == ("refs/heads/feature/new", ZERO, False)


@every_sender
@pytest.mark.parametrize("ref", ["refs/heads/feature", "refs/tags/v1.0.0"])
def test_a_deleted_ref_is_never_a_push(dialect: Any, ref: str) -> None:
    deleted = only(dialect.push(ref=ref, after=ZERO))
    assert isinstance(deleted, RefDeleted)
    assert (deleted.repository, deleted.ref, deleted.before) == (REPOSITORY, ref, OLDER)


@every_sender
def test_a_tag_is_a_push_of_its_commit(dialect: Any) -> None:
    push = only(dialect.push(ref="refs/tags/v1.2.3", before=ZERO))
    assert isinstance(push, Push)
    assert (push.ref, push.after) == ("refs/tags/v1.2.3", NEWER)


REFS = st.sampled_from(["refs/heads/main", "refs/heads/über/ß", "refs/tags/v1.0.0", "refs/heads/release/1.x"])
COMMITS = st.text("0123456789abcdef", min_size=40, max_size=40).filter(lambda text: text != ZERO)


@given(ref=REFS, before=COMMITS | st.just(ZERO), after=COMMITS)
def test_the_same_push_is_the_same_delivery_whoever_tells_it(ref: str, before: str, after: str) -> None:
    told = {name: only(dialect.push(ref=ref, before=before, after=after)) for name, dialect in DIALECTS.items()}
    assert {(each.repository, each.ref, each.before, each.after) for each in told.values()} == {
        (REPOSITORY, ref, before, after)
    }
    assert len({workflow_of(each) for each in told.values()}) == 1, told


def test_a_forced_push_is_told_by_those_who_know() -> None:
    assert only(github.push(forced=True)).forced
    assert only(bitbucket_cloud.push(forced=True)).forced
    assert only(git.push(forced=True)).forced


def test_an_annotated_tag_stands_for_its_commit() -> None:
    tag = "9" * 40
    for told in (github.push("refs/tags/v1", ZERO, tag), gitea.push("refs/tags/v1", ZERO, tag)):
        told.content["head_commit"] = {"id": NEWER}
        assert only(told).after == NEWER
    told = gitlab.push(ref="refs/tags/v1", before=ZERO, after=tag)
    told.content["checkout_sha"] = NEWER
    assert only(told).after == NEWER


OPENED: dict[str, Delivery] = {name: dialect.change() for name, dialect in DIALECTS.items()}


@every_sender
def test_an_opened_change_request(dialect: Any) -> None:
    change = only(dialect.change())
    assert isinstance(change, ChangeRequest)
    assert (change.action, change.change, change.branch, change.base) == ("open", "12", "feature", "main")
    assert (change.repository, change.fork, change.merged) == (REPOSITORY, False, False)
    assert (change.title, change.order) == ("Greet differently", MILLISECONDS)
    # Bitbucket Cloud tells twelve digits of it, which are no commit's id.
    assert change.head == ("" if dialect is bitbucket_cloud else NEWER)
    # GitLab tells no name but that of whoever acts.
    assert change.author == {
        gitlab: ADA,
        azure: azure.AUTHOR,
        bitbucket_cloud: bitbucket_cloud.AUTHOR,
    }.get(dialect, BOB)


def test_a_change_request_without_a_commit_means_its_branchs_present_head() -> None:
    for delivery in (
        gitlab.change(last_commit=None),
        azure.change(lastMergeSourceCommit=None),
        gitea.change(head={"ref": "feature", "sha": "", "repo": gitea.REPOSITORY}),
    ):
        assert (only(delivery).head, only(delivery).branch) == ("", "feature")


def test_what_is_no_commit_is_not_taken_for_a_short_one() -> None:
    for told in ("HEAD", "x" * 12, "abc", "A" * 12, NEWER + "1"):
        with pytest.raises(UserFailure, match="commit id"):
            only(bitbucket_cloud.change(head=told))


@every_sender
def test_a_merged_change_request_is_closed(dialect: Any) -> None:
    change = only(dialect.merged())
    assert isinstance(change, ChangeRequest)
    assert (change.action, change.merged, change.change) == ("close", True, "12")


@every_sender
def test_a_branch_of_another_repository_is_a_fork(dialect: Any) -> None:
    change = only(dialect.change(fork=True))
    assert isinstance(change, ChangeRequest)
    assert change.fork
    assert "bob/hello-world" in change.head_url


MEANINGS: list[tuple[Delivery, str]] = [
    (github.change("synchronize"), "update"),
    (github.change("reopened"), "open"),
    (github.change("ready_for_review"), "update"),
    (github.change("closed"), "close"),
    (gitlab.change("reopen"), "open"),
    (gitlab.change("update", oldrev=OLDER), "update"),
    (gitlab.change("close"), "close"),
    (bitbucket_cloud.change("pullrequest:updated"), "update"),
    (bitbucket_cloud.change("pullrequest:rejected"), "close"),
    (bitbucket_datacenter.change("pr:from_ref_updated"), "update"),
    (bitbucket_datacenter.change("pr:modified"), "update"),
    (bitbucket_datacenter.change("pr:declined"), "close"),
    (bitbucket_datacenter.change("pr:deleted"), "close"),
    (gitea.change("synchronized"), "update"),
    (gitea.change("reopened"), "open"),
    (gitea.change("closed"), "close"),
    (azure.change("git.pullrequest.updated"), "update"),
    (azure.change("git.pullrequest.updated", status="abandoned"), "close"),
    (azure.change("git.pullrequest.merged"), "update"),
    (git.change("updated"), "update"),
]


@pytest.mark.parametrize(("delivery", "action"), MEANINGS)
def test_what_senders_call_it(delivery: Delivery, action: str) -> None:
    change = only(delivery)
    assert isinstance(change, ChangeRequest)
    assert (change.action, change.merged) == (action, False)


@every_sender
def test_a_comment_on_a_change_request(dialect: Any) -> None:
    comment = only(dialect.comment("/ok-to-test abc\n\nPlease."))
    assert isinstance(comment, Comment)
    assert (comment.repository, comment.change) == (REPOSITORY, "12")
    assert comment.comment == ("1401-2" if dialect is azure else "1401")
    assert comment.body == "/ok-to-test abc\n\nPlease."
    assert comment.order == MILLISECONDS
    assert comment.actor.kind == "person"
    assert comment.actor.name in (ADA, BOB, azure.UNIQUE, bitbucket_cloud.ACCOUNT)


@every_sender
def test_a_huge_comment_is_cut_and_printable(dialect: Any) -> None:
    comment = only(dialect.comment("/test\u001b[31m\u0000\u202e" + "x" * 10**6))
    assert len(comment.body) <= BODY_LIMIT
    assert comment.body.startswith("/test[31mxxx")


@every_sender
def test_a_comment_of_nobody_is_refused(dialect: Any) -> None:
    """An event without its author must not count as the engine's own."""
    delivery = dialect.comment()
    text = json.dumps(delivery.content)
    for login in (azure.UNIQUE, bitbucket_cloud.ACCOUNT, ADA, BOB):
        text = text.replace(json.dumps(login), '" "')
    with pytest.raises(Problem, match="login"):
        only(Delivery(delivery.provider, delivery.headers, json.loads(text)))


IGNORED: list[tuple[Delivery, str]] = [
    (github.comment(on_change=False), "IssueComment"),
    (github.comment(action="edited"), "ActionNotUsed"),
    (github.comment(action="deleted"), "ActionNotUsed"),
    (github.change("labeled"), "ActionNotUsed"),
    (github.change("converted_to_draft"), "ActionNotUsed"),
    (github.delivery("create", {"ref": "x", "ref_type": "tag"}), "ToldByPush"),
    (github.delivery("installation", {"action": "created"}), "EventNotUsed"),
    (github.delivery("registry_package", {"action": "published"}), "PackageElsewhere"),
    (gitlab.comment(on="Issue"), "NoteElsewhere"),
    (gitlab.comment(on="Commit"), "NoteElsewhere"),
    (gitlab.comment(system=True), "SystemNote"),
    (gitlab.comment(action="update"), "ActionNotUsed"),
    (gitlab.change("update"), "ActionNotUsed"),
    (gitlab.change("approved"), "ActionNotUsed"),
    (gitlab.delivery("Pipeline Hook", {"object_kind": "pipeline"}), "EventNotUsed"),
    (gitlab.delivery("System Hook", {"event_name": "project_create"}), "EventNotUsed"),
    (gitlab.repository_update(), "NothingMoved"),
    (gitea.comment(is_pull=False), "IssueComment"),
    (gitea.comment(action="edited"), "ActionNotUsed"),
    (gitea.change("labeled"), "ActionNotUsed"),
    (gitea.change("edited"), "ActionNotUsed"),
    (gitea.delivery("create", {"ref": "x", "ref_type": "branch"}), "ToldByPush"),
    (gitea.delivery("release", {"action": "published"}), "EventNotUsed"),
    (bitbucket_cloud.delivery("repo:fork", {}), "EventNotUsed"),
    (bitbucket_cloud.pushes(), "NothingMoved"),
    (bitbucket_datacenter.delivery("pr:reviewer:approved", {}), "EventNotUsed"),
    (azure.comment(commentType="system"), "SystemNote"),
    (azure.comment(isDeleted=True), "ActionNotUsed"),
    (azure.delivery("build.complete", {}), "EventNotUsed"),
    (azure.pushes(), "NothingMoved"),
    (git.delivery("release", {}), "EventNotUsed"),
    (git.push("refs/notes/commits"), "RefNotUsed"),
    (azure.push("refs/pull/12/merge"), "RefNotUsed"),
]


@pytest.mark.parametrize(("delivery", "reason"), IGNORED)
def test_what_starts_nothing_says_why(delivery: Delivery, reason: str) -> None:
    ignored = only(delivery)
    assert isinstance(ignored, Ignored)
    assert ignored.reason == reason
    assert ignored.message


@pytest.mark.parametrize("delivery", [github.ping(), bitbucket_datacenter.ping(), git.ping()])
def test_pings(delivery: Delivery) -> None:
    assert isinstance(only(delivery), Ping)


@pytest.mark.parametrize("dialect", [github, gitea])
@pytest.mark.parametrize(("kind", "ref"), [("branch", "refs/heads/feature"), ("tag", "refs/tags/feature")])
def test_a_deletion_told_by_itself(dialect: Any, kind: str, ref: str) -> None:
    deleted = only(dialect.deleted("feature", kind))
    assert isinstance(deleted, RefDeleted)
    assert (deleted.ref, deleted.before) == (ref, "")


SEVERAL: dict[str, Callable[[], Delivery]] = {
    "GitLab system hook": lambda: gitlab.repository_update(
        ("refs/heads/main", OLDER, NEWER), ("refs/tags/v1", ZERO, NEWER), ("refs/heads/gone", OLDER, ZERO)
    ),
    "Bitbucket Cloud": lambda: bitbucket_cloud.pushes(
        bitbucket_cloud.moved("refs/heads/main", OLDER, NEWER),
        bitbucket_cloud.moved("refs/tags/v1", ZERO, NEWER),
        bitbucket_cloud.moved("refs/heads/gone", OLDER, ZERO),
    ),
    "Bitbucket Data Center": lambda: bitbucket_datacenter.pushes(
        bitbucket_datacenter.moved("refs/heads/main", OLDER, NEWER),
        bitbucket_datacenter.moved("refs/tags/v1", ZERO, NEWER),
        bitbucket_datacenter.moved("refs/heads/gone", OLDER, ZERO),
    ),
    "Azure DevOps": lambda: azure.pushes(
        azure.moved("refs/heads/main", OLDER, NEWER),
        azure.moved("refs/tags/v1", ZERO, NEWER),
        azure.moved("refs/heads/gone", OLDER, ZERO),
    ),
}


@pytest.mark.parametrize("delivery", SEVERAL.values(), ids=SEVERAL.keys())
def test_one_delivery_may_tell_of_several_refs(delivery: Callable[[], Delivery]) -> None:
    events = understood(delivery())
    assert [(type(each), getattr(each, "ref", "")) for each in events] == [
        (Push, "refs/heads/main"),
        (Push, "refs/tags/v1"),
        (RefDeleted, "refs/heads/gone"),
    ]


def test_more_refs_than_one_delivery_may_start_are_not_all_read() -> None:
    moved = bitbucket_cloud.moved("refs/heads/main", OLDER, NEWER)
    assert len(understood(bitbucket_cloud.pushes(*[moved] * 5000))) == LIST_LIMIT


@pytest.mark.parametrize("member", ["Forgejo", "Gitea", "Gogs"])
def test_gitea_and_its_kin_speak_one_dialect(member: str) -> None:
    assert only(gitea.push(member=member)) == only(gitea.push())


def test_azures_two_hosts_are_one_repository() -> None:
    provider = next(each for each in PROVIDERS if each.name == "azure")
    for remote, others in (
        ("https://contoso@dev.azure.com/contoso/shop/_git/app", "https://contoso.visualstudio.com/shop/_git/app"),
        ("https://contoso.visualstudio.com/shop/_git/app", "https://dev.azure.com/contoso/shop/_git/app"),
        (
            "https://contoso.visualstudio.com/DefaultCollection/shop/_git/app",
            "https://dev.azure.com/contoso/shop/_git/app",
        ),
    ):
        document = Document({"resource": {"repository": {"remoteUrl": remote}}})
        assert provider.addresses(document)[1] == others
        assert "@" not in provider.addresses(document)[0]


@pytest.mark.parametrize(
    ("page", "clone"),
    [
        ("https://bitbucket.example/projects/PRJ/repos/app/browse", "https://bitbucket.example/scm/prj/app.git"),
        ("https://h.example/bitbucket/users/bob/repos/x/browse", "https://h.example/bitbucket/scm/~bob/x.git"),
    ],
)
def test_data_centers_page_leads_to_the_clone_address(page: str, clone: str) -> None:
    provider = next(each for each in PROVIDERS if each.name == "bitbucket")
    document = Document({"repository": {"links": {"self": [{"href": page}]}}})
    assert provider.addresses(document)[0] == clone


def test_every_recorded_delivery_of_github_is_understood_or_refused() -> None:
    found: dict[str, set[str]] = {}
    for event, examples in json.loads(EXAMPLES.read_text()).items():
        for content in examples:
            (told,) = understood(Delivery("github", github.delivery(event, {}).headers, content))
            found.setdefault(event, set()).add(type(told).__name__)
    assert found["push"] == {"Push", "RefDeleted"}
    assert found["pull_request"] == {"ChangeRequest", "Ignored"}
    assert found["delete"] == {"RefDeleted"}
    assert found["ping"] == {"Ping"}
    used = ("push", "pull_request", "delete", "ping")
    assert all(kinds == {"Ignored"} for event, kinds in found.items() if event not in used)
    assert len(found) >= 50


@every_sender
@pytest.mark.parametrize(
    ("ref", "after", "reason"),
    [
        ("refs/heads/--upload-pack=touch", NEWER, "BadRef"),
        ("refs/heads/a..b", NEWER, "BadRef"),
        ("refs/heads/main", "HEAD", "BadCommit"),
        ("refs/heads/main", "A" * 40, "BadCommit"),
    ],
)
def test_what_must_not_reach_git_is_refused(dialect: Any, ref: str, after: str, reason: str) -> None:
    with pytest.raises(UserFailure) as refused:
        only(dialect.push(ref=ref, after=after))
    assert refused.value.reason == reason
