"""Who may build next: fairly, in order, never above a limit, and nobody for ever."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model import admission
from model.build import BuildRequest
from model.build_queue import Entry, Held, Limits, Look, Place, QueueState
from model.commit import Commit
from model.component import Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.priority import WORDS, Priority, stated
from model.slot import entry_of, priority_of
from model.source import SourceLocation
from model.stated_limits import whole

NOW = 1000.0


def entry(build: str, project: str = "a", **changed: Any) -> Entry:
    """A build of a branch of its own, unless it is said otherwise."""
    return Entry.model_validate(
        {"build": build, "project": project, "line": build, "commit": "c", "sequence": 1, "since": NOW, **changed}
    )


def queue(running: int = 2, **limits: object) -> QueueState:
    return QueueState(plane="p", known=True, limits=Limits.model_validate({"running": running, **limits}))


def enter(state: QueueState, *entries: Entry, now: float = NOW) -> list[Place]:
    """What becomes of builds that ask one after the other; what others are told is among it."""
    told: list[Place] = []
    for each in entries:
        at_once, notices = admission.enter(state, each)
        told += [*notices, *([at_once] if at_once else [])]
        told += admission.fill(state, now)
    return told


def granted(told: list[Place]) -> list[str]:
    return [place.build for place in told if place.result == "granted"]


def drain(state: QueueState, now: float = NOW) -> list[str]:
    """Let builds end one after the other, the first to run first; returns who came in, in order."""
    came = []
    while state.running:
        first = next(iter(state.running))
        told = [*admission.leave(state, first, now), *admission.fill(state, now)]
        came += granted(told)
    return came


def test_up_to_the_limit_run_and_the_rest_come_in_the_order_in_which_they_asked() -> None:
    state = queue(2)
    told = enter(state, *(entry(str(number), since=NOW + number) for number in range(5)))
    assert granted(told) == ["0", "1"]
    assert drain(state) == ["2", "3", "4"]


def test_a_project_with_five_hundred_waiting_does_not_starve_one_with_one() -> None:
    state = queue(4)
    enter(state, *(entry(f"a{number}", "a", since=NOW + number / 1000) for number in range(500)))
    enter(state, entry("b", "b", since=NOW + 60), now=NOW + 60)
    assert granted(admission.leave(state, "a0", NOW + 61) + admission.fill(state, NOW + 61)) == ["b"]


def test_projects_that_all_want_more_share_the_plane_evenly() -> None:
    state = queue(6)
    enter(state, *(entry(f"a{number}", "a") for number in range(50)))
    enter(state, *(entry(f"{project}{number}", project) for project in "bc" for number in range(50)))
    for _ in range(20):
        admission.leave(state, next(iter(state.running)), NOW)
        admission.fill(state, NOW)
    shares = sorted(sum(1 for each in state.running.values() if each.entry.project == one) for one in "abc")
    assert shares == [2, 2, 2]


def test_what_is_urgent_goes_before_what_is_not_of_its_own_project_and_of_others() -> None:
    state = queue(1)
    enter(state, entry("now"), entry("push"), entry("night", priority="idle"), entry("fix", priority="urgent"))
    enter(state, entry("others", "b", priority="high"), entry("preview", "b", priority="low"))
    assert drain(state) == ["fix", "others", "push", "preview", "night"]


def test_urgency_gives_no_project_more_than_its_fair_share() -> None:
    state = queue(4)
    enter(state, *(entry(f"a{number}", "a", priority="urgent", since=NOW + number) for number in range(20)))
    enter(state, *(entry(f"b{number}", "b", priority="idle") for number in range(2)))
    assert granted(admission.leave(state, "a0", NOW) + admission.fill(state, NOW)) == ["b0"]
    assert granted(admission.leave(state, "a1", NOW) + admission.fill(state, NOW)) == ["b1"]
    assert granted(admission.leave(state, "a2", NOW) + admission.fill(state, NOW)) == ["a4"]


def test_nothing_waits_for_ever_behind_what_is_more_urgent() -> None:
    state = queue(1)
    enter(state, entry("running"), entry("night", priority="idle"))
    now = NOW
    for number in range(100):
        now += 60
        told = enter(state, entry(f"push{number}", since=now), now=now)
        told += admission.leave(state, next(iter(state.running)), now) + admission.fill(state, now)
        if "night" in granted(told):
            break
    assert "night" in granted(told)
    assert now - NOW <= 3 * admission.AGE_SECONDS


def test_a_newer_push_takes_the_place_of_the_waiting_older_one() -> None:
    state = queue(1)
    enter(state, entry("running"), entry("old", line="main"), entry("other", since=NOW + 1))
    told = enter(state, entry("new", line="main", sequence=2, since=NOW + 2))
    assert [(place.build, place.result, place.by) for place in told] == [("old", "superseded", "new")]
    assert drain(state) == ["new", "other"]
    assert "old" not in state.running


def test_an_older_push_that_comes_late_gives_way_at_once() -> None:
    state = queue(1)
    enter(state, entry("new", line="main", sequence=2))
    [place] = enter(state, entry("old", line="main"))
    assert (place.result, place.by) == ("superseded", "new")


def test_where_there_is_no_room_a_newer_push_stops_the_running_older_one_and_has_its_slot() -> None:
    state = queue(1)
    enter(state, entry("old", line="main"), entry("other", priority="urgent"))
    told = enter(state, entry("new", line="main", sequence=2))
    assert [(place.build, place.result, place.by) for place in told] == [("old", "superseded", "new")]
    assert admission.why(state, state.waiting["new"])[0] == "TakesOver"
    assert admission.fill(state, NOW) == []
    assert granted(admission.leave(state, "old", NOW)) == ["new"]
    assert drain(state) == ["other"]


def test_a_still_newer_push_inherits_the_slot_that_is_being_freed() -> None:
    state = queue(1)
    enter(state, entry("1", line="main"), entry("2", line="main", sequence=2), entry("other"))
    told = enter(state, entry("3", line="main", sequence=3))
    assert [(place.build, place.by) for place in told] == [("2", "3")]
    assert granted(admission.leave(state, "1", NOW)) == ["3"]


def test_with_room_both_run_and_the_builds_settle_it_themselves() -> None:
    state = queue(2)
    assert granted(enter(state, entry("1", line="main"), entry("2", line="main", sequence=2))) == ["1", "2"]


@pytest.mark.parametrize(
    ("limits", "changed", "reason"),
    [
        ({"running": 1}, {}, "WaitsForPlane"),
        ({"running": 5, "per_project": 1}, {}, "WaitsForProject"),
        ({"running": 5, "projects": {"a": 1}}, {}, "WaitsForProject"),
        ({"running": 5, "per_project": 1, "projects": {"a": 3}}, {}, "WaitsForProject"),
        ({"running": 5}, {"repository": "r", "repository_limit": 1}, "WaitsForRepository"),
    ],
)
def test_every_limit_holds_and_says_which_it_is(
    limits: dict[str, Any], changed: dict[str, Any], reason: str
) -> None:
    state = queue(**limits)
    told = enter(state, entry("1", **changed), entry("2", **changed))
    assert granted(told) == ["1"]
    place = admission.places(state, ["2"], NOW)["2"]
    assert (place.result, place.reason, place.position) == ("waits", reason, 1)
    assert place.message


def test_a_limit_of_one_repository_does_not_make_its_project_lose_its_turns() -> None:
    state = queue(2)
    blocked = [entry(f"r{number}", repository="r", repository_limit=1) for number in range(50)]
    enter(state, *blocked, entry("free"), *(entry(f"b{number}", "b") for number in range(5)))
    assert list(state.running) == ["r0", "free"]
    enter(state, entry("free2", since=NOW + 1))
    admission.leave(state, "free", NOW)
    assert granted(admission.fill(state, NOW)) == ["b0"]
    admission.leave(state, "b0", NOW + 1)
    admission.leave(state, "r0", NOW + 1)
    assert len(granted(admission.fill(state, NOW + 1))) == 2


def test_while_nobody_serves_the_plane_nobody_is_let_in_and_all_are_afterwards() -> None:
    state = queue(2)
    admission.correct(state, Look(served=False), NOW)
    assert granted(enter(state, entry("1"), entry("2"))) == []
    assert admission.view(state, NOW).waiting[0].reason == "PlaneAway"
    admission.correct(state, Look(served=None), NOW + 10)
    assert state.away_since == NOW
    admission.correct(state, Look(served=True), NOW + 20)
    assert granted(admission.fill(state, NOW + 20)) == ["1", "2"]


def test_a_queue_that_has_just_begun_counts_what_runs_before_it_lets_anybody_in() -> None:
    state = QueueState(plane="p", limits=Limits(running=2))
    assert granted(enter(state, entry("new"))) == []
    assert admission.why(state, state.waiting["new"])[0] == "CountingBuilds"
    found = (
        Held(plane="p", entry=entry("ran"), holds=True),
        Held(plane="p", entry=entry("ran too"), holds=True),
        Held(plane="p", entry=entry("waited", since=NOW - 5), wants=True),
    )
    admission.correct(state, Look(found=found), NOW)
    assert admission.fill(state, NOW) == []
    assert [each.entry.build for each in admission.view(state, NOW).waiting] == ["waited", "new"]


def test_who_has_ended_without_a_word_loses_the_slot() -> None:
    state = queue(1)
    enter(state, entry("1"), entry("2"))
    admission.correct(state, Look(ended=("1",)), NOW)
    assert granted(admission.fill(state, NOW)) == ["2"]


def test_what_was_said_before_leaving_and_comes_after_it_changes_nothing() -> None:
    state = queue(1)
    enter(state, entry("1"))
    admission.leave(state, "1", NOW)
    assert granted(enter(state, entry("1"))) == []
    admission.correct(state, Look(found=(Held(plane="p", entry=entry("1"), holds=True),)), NOW)
    assert not state.running
    assert not state.waiting


def test_asking_twice_is_asking_once() -> None:
    state = queue(1)
    assert granted(enter(state, entry("1"), entry("1"))) == ["1", "1"]
    enter(state, entry("2"), entry("2"))
    assert (len(state.running), len(state.waiting)) == (1, 1)


def test_what_no_longer_fits_into_the_queue_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ENTRIES_LIMIT", 2)
    state = queue(1)
    told = enter(state, *(entry(str(number)) for number in range(4)))
    assert [(place.build, place.result) for place in told] == [("0", "granted"), ("3", "full")]
    assert [place.result for place in enter(state, entry("2b", line="2", sequence=2))] == ["superseded"]


COMPONENT = Component(key=ComponentKey(name="shop"), source=SourceLocation(url="https://git.test/shop.git"))


@pytest.mark.parametrize(
    ("changed", "declared", "expected"),
    [
        ({"cause": "push"}, "", "normal"),
        ({"cause": "trigger"}, "", "high"),
        ({"cause": "sweep"}, "", "idle"),
        ({"cause": "push", "preview": "7"}, "", "low"),
        ({"cause": "push"}, "urgent", "urgent"),
        ({"cause": "push"}, "low", "low"),
        ({"cause": "push", "preview": "7"}, "urgent", "low"),
        ({"cause": "push", "preview": "7"}, "idle", "idle"),
        ({"cause": "schedule"}, "urgent", "idle"),
        ({"cause": "schedule", "priority": "urgent"}, "low", "urgent"),
        ({"cause": "push", "priority": "nonsense"}, "", "normal"),
    ],
)
def test_how_urgent_a_build_is(changed: dict[str, object], declared: str, expected: Priority) -> None:
    component = COMPONENT.model_copy(update={"priority": declared})
    commit = Commit(id="c", author="a", author_email="a@example.test", subject="s")
    request = BuildRequest.model_validate(
        {"component": component, "commit": commit, "branch": "main", "sequence": 1, **changed}
    )
    assert priority_of(request) == expected
    asked = entry_of(request, "build/default/shop/c/1", NOW)
    assert (asked.project, asked.repository) == ("default/default", "default/git.test/shop")


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UserFailure, match=r"towpath\.dev/priority: write one of urgent, high"):
        stated("quick", "metadata.annotations.towpath.dev/priority")
    for text in ("many", "-1", "1.5", "10001", "9" * 40):
        with pytest.raises(UserFailure, match="write a whole number"):
            whole(text, "here")
    assert (whole("", "here"), whole("0", "here"), whole("20", "here")) == (None, 0, 20)


class Queue(RuleBasedStateMachine):
    """Builds that ask, end, are cancelled, die silently and ask again, in any order, with limits that change."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.made = 0
        self.alive: dict[str, Entry] = {}
        self.told: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self.waits_since: dict[str, float] = {}

    @initialize(running=st.integers(1, 4), per_project=st.integers(0, 3))
    def begin(self, running: int, per_project: int) -> None:
        self.state = queue(running, per_project=per_project)

    def heard(self, told: list[Place]) -> None:
        for place in told:
            assert place.result != "granted" or place.build in self.state.running
            if place.build in self.alive and self.told.get(place.build) != "superseded":
                self.told[place.build] = place.result

    @rule(
        project=st.sampled_from("abc"),
        line=st.integers(0, 5),
        priority=st.sampled_from(WORDS),
        limit=st.integers(0, 2),
        late=st.booleans(),
    )
    def asks(self, project: str, line: int, priority: Priority, limit: int, late: bool) -> None:
        self.made += 1
        build, name = f"{self.made}", f"{project}{line}"
        sequence = 10 * self.made - (25 if late else 0)
        fresh = entry(
            build, project, line=name, sequence=sequence, priority=priority, since=self.now,
            repository=name[-1], repository_limit=limit,
        )  # fmt: skip
        self.alive[build] = fresh
        self.heard(enter(self.state, fresh, now=self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def asks_again(self, data: st.DataObject) -> None:
        build = data.draw(st.sampled_from(sorted(self.alive)))
        if self.told.get(build) != "superseded":
            self.heard(enter(self.state, self.alive[build], now=self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), silently=st.booleans())
    def ends(self, data: st.DataObject, silently: bool) -> None:
        build = data.draw(st.sampled_from(sorted(self.alive)))
        del self.alive[build]
        if silently:
            admission.correct(self.state, Look(ended=(build,)), self.now)
        else:
            self.heard(admission.leave(self.state, build, self.now))
        self.heard(admission.fill(self.state, self.now))

    @rule(seconds=st.sampled_from([1.0, 60.0, 700.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(running=st.integers(1, 4))
    def the_limit_changes(self, running: int) -> None:
        limits = self.state.limits.model_copy(update={"running": running})
        admission.correct(self.state, Look(limits=limits), self.now)
        self.heard(admission.fill(self.state, self.now))

    @rule()
    def the_queue_is_ended_and_begins_anew(self) -> None:
        held = tuple(
            Held(plane="p", entry=each, holds=self.told.get(build) == "granted", wants=True)
            for build, each in self.alive.items()
            if self.told.get(build) != "superseded"
        )
        self.state = QueueState(plane="p", limits=self.state.limits)
        admission.correct(self.state, Look(found=held), self.now)
        self.heard(admission.fill(self.state, self.now))

    @rule()
    def goes_on_as_new(self) -> None:
        self.state = QueueState.model_validate_json(self.state.model_dump_json())

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for build in self.alive:
            there = (build in self.state.running) + (build in self.state.waiting)
            assert there == (0 if self.told.get(build) == "superseded" and build not in self.state.running else 1)
            if build in self.state.running and self.told.get(build) != "superseded":
                assert self.told[build] == "granted"

    @invariant()
    def nobody_else_is_there(self) -> None:
        assert {*self.state.running, *self.state.waiting} <= self.alive.keys()

    @invariant()
    def one_of_a_line_waits_at_most(self) -> None:
        lines = [each.line for each in self.state.waiting.values()]
        assert len(lines) == len(set(lines))

    @invariant()
    def no_slot_is_left_free_that_somebody_could_have(self) -> None:
        before = self.state.model_copy(deep=True)
        assert granted(admission.fill(before, self.now)) == []

    @invariant()
    def positions_are_those_of_all_who_wait(self) -> None:
        shown = admission.view(self.state, self.now)
        assert [each.position for each in shown.waiting] == list(range(1, len(self.state.waiting) + 1))
        assert {each.entry.build for each in shown.waiting} == self.state.waiting.keys()

    def teardown(self) -> None:
        """Whatever has happened: when all builds end one after the other, everybody gets a turn."""
        if not hasattr(self, "state"):
            return
        for _ in range(2 * len(self.alive) + 1):
            if not self.state.running:
                break
            first = next(iter(self.state.running))
            admission.leave(self.state, first, self.now)
            admission.fill(self.state, self.now)
        assert not self.state.waiting, admission.view(self.state, self.now)


class Limited(Queue):
    """As `Queue`, where the limits stay: then they hold at every moment."""

    the_limit_changes = None  # type: ignore[assignment]
    the_queue_is_ended_and_begins_anew = None  # type: ignore[assignment]

    @invariant()
    def no_limit_is_passed(self) -> None:
        running = [each.entry for each in self.state.running.values()]
        assert len(running) <= self.state.limits.running
        most = self.state.limits.per_project
        for each in running:
            assert not most or sum(1 for other in running if other.project == each.project) <= most


LIVES = settings(
    max_examples=300, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestQueue = Queue.TestCase
TestQueue.settings = LIVES
TestLimited = Limited.TestCase
TestLimited.settings = LIVES
