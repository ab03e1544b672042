"""Decisions about previews: what annotations say, and what events and orders do, in whichever order they come."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import names, preview_rules
from model.actor import Actor
from model.commit import Commit
from model.failure import UserFailure
from model.key import ComponentKey
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.preview import Ending, PreviewEvent, PreviewOrder, PreviewRules, PreviewState
from model.preview_rules import MOST, PREVIEWS, TTL, refuse_order, rules, step, take, take_order

KEY = ComponentKey(name="web")
ANN = Actor(kind="person", name="ann")
NOW = 1_000_000.0


def state(**changed: Any) -> PreviewState:
    return PreviewState(component=KEY, change="7", **changed)


def event(action: str, at: int, **changed: Any) -> PreviewEvent:
    """An event whose commit is told by its time."""
    return PreviewEvent.model_validate(
        {
            "id": f"{action}-{at}",
            "action": action,
            "component": KEY,
            "repository": "git.test/web",
            "change": "7",
            "commit": None if action == "close" else Commit(id=f"{at:040x}"),
            "at": at,
            "sequence": at,
            **changed,
        }
    )


@pytest.mark.parametrize(
    ("component", "project", "expected"),
    [
        ({}, {}, PreviewRules()),
        ({PREVIEWS: "true"}, {}, PreviewRules(enabled=True)),
        ({}, {PREVIEWS: "true", TTL: "8h"}, PreviewRules(enabled=True, ttl_seconds=8 * 3600)),
        ({PREVIEWS: "false"}, {PREVIEWS: "true"}, PreviewRules(enabled=False)),
        ({MOST: "3"}, {PREVIEWS: "true", MOST: "5"}, PreviewRules(enabled=True, limit=3)),
        ({"app": "web"}, {"team": "a"}, PreviewRules()),
    ],
)
def test_annotations_of_the_component_go_before_its_projects(
    component: dict[str, str], project: dict[str, str], expected: PreviewRules
) -> None:
    assert rules(component, project) == expected


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (PREVIEWS, "yes"), (PREVIEWS, ""), (TTL, "soon"), (TTL, "1s"), (TTL, "31d"), (TTL, ""), (MOST, "0"),
        (MOST, "101"), (MOST, "-1"), (MOST, "ten"), (MOST, "٣"), (MOST, "9" * 5000),
    ],
)  # fmt: skip
def test_an_annotation_that_makes_no_sense_is_refused_by_its_name(annotation: str, value: str) -> None:
    with pytest.raises(UserFailure, match=annotation) as refused:
        rules({annotation: value}, {})
    assert refused.value.reason == "InvalidManifest"


def test_a_preview_runs_where_the_first_environment_does_behind_no_gate() -> None:
    first = EnvironmentStep(
        environment="development",
        plane="eu",
        policy=StepPolicy(approvals=2, stability_seconds=9, deadline_seconds=8),
    )
    made = step(first, "7")
    assert (made.environment, made.plane, made.preview) == ("preview-7", "eu", True)
    assert (made.policy.approvals, made.policy.stability_seconds, made.policy.deadline_seconds) == (0, 9, 8)


def test_every_component_and_change_has_a_namespace_of_its_own() -> None:
    places = list(
        itertools.product(("default", "shop"), ("web", "a-much-longer-name-for-a-component"), ("1", "11"))
    )
    found = {names.preview_namespace("team", project, component, change) for project, component, change in places}
    assert len(found) == len(places)
    assert all(len(name) <= 63 and name.startswith("dp-team-") for name in found)


def test_the_same_event_twice_is_one() -> None:
    preview = state()
    assert take(preview, event("open", 1), NOW)
    assert not take(preview, event("open", 1), NOW + 50)
    assert preview.expires_at == NOW + preview.ttl_seconds


def test_the_same_commit_announced_twice_is_built_once_unless_a_person_wants_it_again() -> None:
    preview = state()
    take(preview, event("open", 1), NOW)
    preview.shown = f"{1:040x}"
    assert not take(preview, event("update", 2, commit=Commit(id=f"{1:040x}")), NOW)
    assert preview.shown
    assert take(preview, event("open", 3, commit=Commit(id=f"{1:040x}"), again=True), NOW)
    assert not preview.shown


def test_a_persons_word_counts_when_it_comes_whatever_the_senders_clock_says() -> None:
    preview = state()
    take(preview, event("open", 1_000), NOW)
    assert take(preview, event("open", 10, again=True), NOW)
    assert take(preview, event("update", 1_001), NOW)
    assert preview.wanted is not None
    assert preview.wanted.id == f"{1_001:040x}"


EVENTS = st.lists(
    st.tuples(st.sampled_from(["open", "update", "close"]), st.integers(1, 30)),
    min_size=1,
    max_size=12,
    unique_by=lambda pair: pair[1],
)


@given(EVENTS, st.randoms(use_true_random=False))
@settings(max_examples=500)
def test_whatever_order_events_come_in_an_older_one_never_wins(events: list[tuple[str, int]], random: Any) -> None:
    shuffled = [event(action, at) for action, at in events]
    random.shuffle(shuffled)
    preview = state()
    newest = 0
    for each in shuffled:
        before = preview.model_copy(deep=True)
        changed = take(preview, each, NOW)
        if each.at < newest:
            assert not changed
            assert (preview.wanted, preview.ending) == (before.wanted, before.ending)
        newest = max(newest, preview.wanted_at)
    assert preview.wanted is None or int(preview.wanted.id, 16) <= newest
    last = max(events, key=lambda pair: pair[1])
    if last[0] == "open":
        assert preview.ending is None
        assert preview.wanted is not None
        assert preview.wanted.id == f"{last[1]:040x}"
    if last[0] == "close":
        assert preview.ending is not None


@given(EVENTS, EVENTS)
def test_redeliveries_change_nothing(events: list[tuple[str, int]], more: list[tuple[str, int]]) -> None:
    once, twice = state(), state()
    for action, at in [*events, *more]:
        take(once, event(action, at), NOW)
        take(twice, event(action, at), NOW)
        take(twice, event(action, at), NOW)
    assert once == twice


@pytest.mark.parametrize(
    ("by", "action", "back"),
    [
        ("request", "update", False), ("request", "open", True), ("time", "update", True), ("time", "open", True),
        ("person", "update", False), ("person", "open", True), ("component", "open", False),
    ],
)  # fmt: skip
def test_what_has_ended_comes_back_only_for_who_may_bring_it(by: str, action: str, back: bool) -> None:
    ending = Ending.model_validate({"by": by, "reason": "r", "since": NOW})
    preview = state(ending=ending, removed=True, wanted=Commit(id=f"{1:040x}"), wanted_at=1, expires_at=NOW)
    assert take(preview, event(action, 2), NOW) is back
    assert (preview.ending is None) is back


def test_a_redelivered_push_does_not_bring_back_what_time_has_ended() -> None:
    ending = Ending(by="time", reason="r", since=NOW)
    preview = state(ending=ending, removed=True, wanted=Commit(id=f"{1:040x}"), wanted_at=1)
    assert not take(preview, event("update", 2, commit=Commit(id=f"{1:040x}")), NOW)


@pytest.mark.parametrize(("seconds", "refused"), [(59, True), (60, False), (30 * 86_400, False), (1e9, True)])
def test_it_is_extended_within_reason(seconds: float, refused: bool) -> None:
    order = PreviewOrder(id="o", kind="extend", actor=ANN, seconds=seconds)
    answer = refuse_order(state(), order)
    assert (answer is not None) is refused


def test_an_order_sent_twice_is_one() -> None:
    preview = state(expires_at=NOW)
    order = PreviewOrder(id="o", kind="extend", actor=ANN, seconds=3600)
    assert take_order(preview, order, NOW).reason == "Extended"
    assert refuse_order(preview, order) is None
    assert take_order(preview, order, NOW + 1000).reason == "AlreadyAccepted"
    assert preview.expires_at == NOW + 3600


def test_what_a_person_closed_stays_closed_for_as_long_as_it_would_have_lasted() -> None:
    preview = state(expires_at=NOW + 86_400)
    take_order(preview, PreviewOrder(id="o", kind="close", actor=ANN, reason="enough"), NOW)
    assert preview_rules.rests_until(preview) == NOW + 86_400
    assert preview.ending is not None
    assert preview.ending.reason == "ann closed it: enough."
