"""What is told of a commit: the newest of every context, whatever order the notes come in."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from model import statuses
from model.hosting import StatusState
from model.status_note import StatusNote
from model.statuses import Remote, StatusesState, Waiting
from model.told import Told

TOLD = Told(repository="git.test/team/web", namespace="default", name="web")
STATES: list[StatusState] = ["pending", "success", "failure", "error", "cancelled"]


def note(context: str, order: int, state: StatusState = "pending", told: Told = TOLD) -> StatusNote:
    return StatusNote(told=told, commit="c" * 40, context=context, state=state, title=f"{order}", order=order)


def empty() -> StatusesState:
    return StatusesState(repository=TOLD.repository, commit="c" * 40)


def waiting(state: StatusesState, now: float) -> Waiting:
    found = statuses.next_up(state, now)
    assert found is not None
    return found


def test_a_pending_that_was_overtaken_is_not_told() -> None:
    state = empty()
    assert statuses.take(state, note("build", 1), 0)
    assert statuses.take(state, note("build", 2, "success"), 0)
    assert waiting(state, 0).note.state == "success"
    assert (len(state.waiting), state.overtaken) == (1, 1)


def test_what_is_older_than_what_was_told_changes_nothing() -> None:
    state = empty()
    statuses.take(state, note("build", 2, "success"), 0)
    statuses.sent(state, waiting(state, 0), Remote(status="7"))
    assert not statuses.take(state, note("build", 1), 1)
    assert not statuses.take(state, note("build", 2, "success"), 1)
    assert statuses.next_up(state, 1) is None
    assert state.remotes["default/web build"].status == "7"


def test_what_comes_while_an_older_one_is_being_told_is_told_next() -> None:
    state = empty()
    statuses.take(state, note("build", 1), 0)
    under_way = waiting(state, 0)
    statuses.take(state, note("build", 2, "success"), 0)
    statuses.sent(state, under_way, Remote())
    assert waiting(state, 0).note.order == 2


def test_a_provider_that_asks_to_wait_is_not_asked_before() -> None:
    state = empty()
    statuses.take(state, note("build", 1), 0)
    assert statuses.away(state, "ProviderUnavailable: 429", 900, 100, 0.0)
    statuses.take(state, note("production", 2), 200)
    assert statuses.next_up(state, 999) is None
    assert statuses.wakes(state, 200) == 800
    assert waiting(state, 1000).note.order == 1


def test_waits_grow_to_five_minutes_and_are_spread() -> None:
    state, now = empty(), 0.0
    statuses.take(state, note("build", 1), now)
    waits = []
    for _ in range(10):
        statuses.away(state, "away", None, now, 1.0)
        waits.append(state.after - now)
        now = state.after
    assert waits[:3] == [6.0, 12.0, 24.0]
    assert waits[-1] == statuses.MOST_WAIT_SECONDS * 1.2


def test_after_a_week_it_is_given_up_and_said_so() -> None:
    state = empty()
    statuses.take(state, note("build", 1), 0)
    assert statuses.away(state, "away", None, 1, 0.0)
    assert not statuses.away(state, "away", None, 1 + statuses.GIVE_UP_SECONDS, 0.0)
    assert (state.waiting, state.given_up) == ({}, 1)


def test_a_refused_token_holds_up_nobody_else_and_is_tried_again() -> None:
    state = empty()
    statuses.take(state, note("build", 1), 0)
    other = TOLD.model_copy(update={"namespace": "other"})
    statuses.take(state, note("build", 2, told=other), 0)
    refused = waiting(state, 0)
    assert statuses.refused(state, refused, "TokenRefused: 401", False, 0)
    assert waiting(state, 0).note.told == other
    statuses.sent(state, waiting(state, 0), Remote())
    assert statuses.next_up(state, 0) is None
    assert waiting(state, statuses.REFUSED_FIRST_SECONDS).note.order == 1


def test_what_the_provider_will_never_take_is_dropped_for_good() -> None:
    state = empty()
    statuses.take(state, note("build", 2), 0)
    assert not statuses.refused(state, waiting(state, 0), "ProviderInvalid: 422", True, 0)
    assert not statuses.take(state, note("build", 1), 0)
    assert (state.waiting, state.given_up) == ({}, 1)


def test_nothing_is_forgotten_while_an_old_note_may_still_come() -> None:
    state = empty()
    statuses.take(state, note("build", 1), 1000)
    statuses.sent(state, waiting(state, 1000), Remote())
    assert not statuses.is_over(state, 1000 + 24 * 3600)
    assert statuses.is_over(state, 1000 + statuses.MEMORY_SECONDS)
    assert statuses.wakes(state, 1000) == statuses.MEMORY_SECONDS


def test_there_is_an_end_to_how_many_contexts_a_commit_has() -> None:
    state = empty()
    for number in range(statuses.CONTEXTS_LIMIT + 5):
        statuses.take(state, note(f"c{number}", number), 0)
    assert len(state.waiting) == statuses.CONTEXTS_LIMIT
    assert "contexts" in state.trouble


class Life(RuleBasedStateMachine):
    """Notes in any order, any number of times, to a provider that fails as it likes."""

    @initialize()
    def begin(self) -> None:
        self.state = empty()
        self.now = 1000.0
        self.newest: dict[str, StatusNote] = {}
        self.shown: dict[str, StatusNote] = {}
        self.under_way: Waiting | None = None

    @rule(
        context=st.sampled_from(["build", "staging", "production"]),
        order=st.integers(1, 12),
        times=st.integers(1, 2),
    )
    def hear(self, context: str, order: int, times: int) -> None:
        said = note(context, order, STATES[order % len(STATES)])
        for _ in range(times):
            statuses.take(self.state, said, self.now)
        known = self.newest.get(context)
        if known is None or known.order < order:
            self.newest[context] = said

    @rule(seconds=st.floats(0, 2000))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin_to_tell(self) -> None:
        if self.under_way is None:
            self.under_way = statuses.next_up(self.state, self.now)

    @rule(end=st.sampled_from(["arrived", "arrived but lost", "away", "refused"]))
    def end_telling(self, end: str) -> None:
        tried, self.under_way = self.under_way, None
        if tried is None:
            return
        if end.startswith("arrived"):
            shown = self.shown.get(tried.note.context)
            assert shown is None or shown.order <= tried.note.order, "the provider went back"
            self.shown[tried.note.context] = tried.note
        if end == "arrived":
            statuses.sent(self.state, tried, Remote())
        elif end == "refused":
            statuses.refused(self.state, tried, "refused", False, self.now)
        else:
            statuses.away(self.state, "away", None, self.now, 0.5)

    @invariant()
    def the_newest_is_told_or_waits(self) -> None:
        if not hasattr(self, "state"):
            return
        for context, said in self.newest.items():
            told = self.state.told.get(said.key, -1) >= said.order
            assert told or self.state.waiting[said.key].note == said, context

    def teardown(self) -> None:
        """The provider is back: everything arrives, the newest last."""
        if not hasattr(self, "state"):
            return
        while self.state.waiting:
            self.now += statuses.wakes(self.state, self.now) + 0.001
            tried = waiting(self.state, self.now)
            self.shown[tried.note.context] = tried.note
            statuses.sent(self.state, tried, Remote())
        assert self.shown == self.newest


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase


@given(st.permutations(list(range(8))))
def test_every_order_of_arrival_ends_the_same(orders: list[int]) -> None:
    state = empty()
    for order in orders:
        statuses.take(state, note("build", order, STATES[order % len(STATES)]), 0)
    assert waiting(state, 0).note.order == 7
