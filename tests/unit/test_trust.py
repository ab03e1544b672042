"""Whose changes are built at once, and that no way leads round a word on exactly one commit."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.actor import Actor
from model.change_ref import check_fetched, own_address, place
from model.change_request import ChangeRequest
from model.commit import Commit
from model.failure import UserFailure
from model.hosting import Permission
from model.key import ComponentKey
from model.pipeline import EnvironmentStep
from model.preview import Ending, PreviewEvent, PreviewOrder, PreviewState
from model.preview_rules import refuse_order, step, take, take_order
from model.resources.pull_requests import PullRequests
from model.trust import TrustRules, is_bot, judge, may_steer, merged, needs_permission

URL = "https://git.test/team/app.git"
RULES = TrustRules(trusted=("bob",), roles={"rita": ("release-manager",), "vic": ("viewer",)})


def change(**changed: object) -> ChangeRequest:
    return ChangeRequest.model_validate(
        {
            "action": "open",
            "provider": "github",
            "repository": "git.test/team/app",
            "url": URL,
            "change": "7",
            "branch": "idea",
            "base": "main",
            "author": "ann",
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("asked", "rules", "permission", "trusted", "reason"),
    [
        (change(), TrustRules(), "admin", True, "MayWrite"),
        (change(), TrustRules(), "write", True, "MayWrite"),
        (change(), TrustRules(), "read", False, "AuthorNotTrusted"),
        (change(), TrustRules(), "none", False, "AuthorNotTrusted"),
        (change(association="member"), TrustRules(), "read", True, "Member"),
        (change(association="owner"), TrustRules(), None, True, "Member"),
        (change(association="collaborator"), TrustRules(), None, True, "Member"),
        (change(association="contributor"), RULES, None, False, "AuthorNotTrusted"),
        (change(author="Bob"), RULES, "none", True, "Named"),
        (change(author=""), RULES, None, False, "AuthorNotTrusted"),
        (change(), TrustRules(), None, True, "OwnBranch"),
        (change(author=""), TrustRules(), None, True, "OwnBranch"),
        (change(fork=True), TrustRules(), None, False, "Fork"),
        (change(fork=True, author="bob"), RULES, "admin", False, "Fork"),
        (change(fork=True, association="owner"), RULES, "admin", False, "Fork"),
        (change(provider="towpath", components=(ComponentKey(name="a"),)), RULES, None, True, "ByHand"),
        (change(provider="towpath"), RULES, None, False, "AuthorNotTrusted"),
        (change(components=(ComponentKey(name="a"),)), RULES, "none", False, "AuthorNotTrusted"),
    ],
)  # fmt: skip
def test_who_is_built_at_once(
    asked: ChangeRequest, rules: TrustRules, permission: Permission | None, trusted: bool, reason: str
) -> None:
    found = judge(asked, rules, permission)
    assert (found.trusted, found.reason) == (trusted, reason)


def test_the_provider_is_asked_only_where_its_answer_counts() -> None:
    assert needs_permission(change(), TrustRules())
    assert needs_permission(change(), RULES)
    assert not needs_permission(change(fork=True), RULES)
    assert not needs_permission(change(author="bob"), RULES)
    assert not needs_permission(change(author=""), TrustRules())


def test_who_may_have_things_tested_and_strangers_built() -> None:
    assert may_steer("ann", TrustRules(), "write")
    assert may_steer("BOB", RULES, "none")
    assert may_steer("rita", RULES, None)
    assert not may_steer("vic", RULES, "read")
    assert not may_steer("ann", TrustRules(), None)
    assert not may_steer("", TrustRules(trusted=("",)), None)
    assert is_bot("renovate[bot]")
    assert not is_bot("robot")


def test_groups_are_spelt_out_and_unknown_ones_are_empty() -> None:
    block = PullRequests.model_validate(
        {
            "trusted": ["Ann", "@leads", "@nobody"],
            "groups": {"leads": ["Bob", "@leads"]},
            "roles": {"release-manager": ["@leads"], "qa": ["bob"]},
            "emails": {"Bob": "bob@example.com"},
        }
    )
    rules = block.rules()
    assert rules.trusted == ("ann", "bob")
    assert rules.roles_of("BOB") == ("qa", "release-manager")
    assert rules.email_of("bob") == "bob@example.com"
    both = merged([rules, RULES])
    assert (both.trusted, both.roles_of("rita")) == (("ann", "bob"), ("release-manager",))


@pytest.mark.parametrize(
    ("asked", "url", "ref"),
    [
        (change(), URL, "refs/heads/idea"),
        (change(fork=True), URL, "refs/pull/7/head"),
        (change(fork=True, provider="gitea"), URL, "refs/pull/7/head"),
        (change(fork=True, provider="gitlab"), URL, "refs/merge-requests/7/head"),
        (change(fork=True, provider="bitbucket"), URL, "refs/pull-requests/7/from"),
        (
            change(fork=True, provider="git", head_url="https://git.test/ann/app.git"),
            "https://git.test/ann/app.git",
            "refs/heads/idea",
        ),
    ],
)
def test_where_the_commit_of_a_request_is_fetched(asked: ChangeRequest, url: str, ref: str) -> None:
    assert place(asked, URL) == (url, ref)
    assert check_fetched(ref) == ref


@pytest.mark.parametrize("head_url", ["", "https://evil.test/team/app.git", "https://git.test:8443/ann/app.git"])
def test_nothing_is_fetched_from_another_host(head_url: str) -> None:
    with pytest.raises(UserFailure, match="another host"):
        place(change(fork=True, provider="git", head_url=head_url), URL)


@pytest.mark.parametrize(
    "ref",
    ["refs/pull/7/merge", "refs/pull/x/head", "refs/pull/7/head/x", "refs/notes/a", "refs/merge-requests/7/merge",
     "refs/pull/7/head\n", "HEAD", "refs/pull//head", "-refs/pull/7/head"],
)  # fmt: skip
def test_no_other_ref_is_fetched(ref: str) -> None:
    with pytest.raises(UserFailure, match="ref"):
        check_fetched(ref)


def test_credentials_are_for_the_repository_itself() -> None:
    assert own_address("git@git.test:team/app", URL)
    assert not own_address("https://git.test/ann/app.git", URL)


def test_what_is_not_trusted_reaches_no_environment() -> None:
    first = EnvironmentStep(environment="development")
    assert step(first, "7").neighbours == "development"
    assert step(first, "7", untrusted=True).neighbours == ""


SHAS = st.sampled_from([f"{number:040x}" for number in range(1, 5)])
ANN = Actor(kind="person", name="github:ann", roles=("x",))


@dataclass
class Words:
    """What was said, as somebody who looks on would keep it."""

    trusted: set[str] = field(default_factory=set)
    allowed: set[str] = field(default_factory=set)


class OneWayIn(RuleBasedStateMachine):
    """Whatever happens in whichever order, what a preview wants was announced by a trusted author, or allowed by
    somebody at a time when exactly it was waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.state = PreviewState(component=ComponentKey(name="app"), change="7")
        self.said = Words()
        self.count = 0
        self.now = 1000.0

    def _event(self, action: str, sha: str, at: int, trusted: bool, again: bool = False) -> None:
        self.count += 1
        self.now += 1
        event = PreviewEvent.model_validate(
            {
                "id": str(self.count),
                "action": action,
                "component": self.state.component,
                "repository": "git.test/team/app",
                "change": "7",
                "commit": None if action == "close" else Commit(id=sha),
                "at": at,
                "sequence": self.count,
                "trusted": trusted,
                "ref": "" if trusted else "refs/pull/7/head",
                "again": again,
            }
        )
        if trusted and action != "close":
            self.said.trusted.add(sha)
        take(self.state, event, self.now)

    @rule(sha=SHAS, at=st.integers(1, 20), action=st.sampled_from(["open", "update"]), again=st.booleans())
    def somebody_not_trusted_pushes(self, sha: str, at: int, action: str, again: bool) -> None:
        self._event(action, sha, at, trusted=False, again=again)

    @rule(sha=SHAS, at=st.integers(1, 20), action=st.sampled_from(["open", "update"]))
    def somebody_trusted_pushes(self, sha: str, at: int, action: str) -> None:
        self._event(action, sha, at, trusted=True)

    @rule(at=st.integers(1, 20))
    def it_is_closed(self, at: int) -> None:
        self._event("close", "", at, trusted=True)

    @rule(sha=SHAS, kind=st.sampled_from(["allow", "retry", "stop", "close", "extend"]))
    def somebody_says(self, sha: str, kind: str) -> None:
        self.count += 1
        order = PreviewOrder.model_validate(
            {"id": str(self.count), "kind": kind, "actor": ANN, "commit": sha, "seconds": 3600}
        )
        awaiting = self.state.awaiting
        waited = awaiting.commit.id if awaiting is not None and awaiting.commit is not None else ""
        if refuse_order(self.state, order) is not None:
            return
        if kind == "allow":
            assert sha == waited or sha in self.said.allowed
            self.said.allowed.add(sha)
        take_order(self.state, order, self.now)

    @rule()
    def time_is_up(self) -> None:
        if self.state.ending is None:
            self.state.ending = Ending(by="time", reason="Its time was up.", since=self.now)

    @rule()
    def it_is_shown(self) -> None:
        if self.state.wanted is not None:
            self.state.shown = self.state.wanted.id

    @invariant()
    def only_what_somebody_answers_for_is_wanted(self) -> None:
        wanted = self.state.wanted
        if wanted is None:
            return
        if self.state.untrusted:
            assert wanted.id in self.said.allowed
        else:
            assert wanted.id in self.said.trusted

    @invariant()
    def what_waits_is_not_wanted_by_the_same_word(self) -> None:
        assert set(self.state.allowed) <= self.said.allowed


OneWayIn.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
test_no_way_leads_round_a_word_on_exactly_one_commit = OneWayIn.TestCase


def test_bitbucket_cloud_offers_no_such_ref() -> None:
    fork = "https://bitbucket.org/ann/app.git"
    asked = change(fork=True, provider="bitbucket", head_url=fork)
    assert place(asked, "https://bitbucket.org/team/app.git") == (fork, "refs/heads/idea")
