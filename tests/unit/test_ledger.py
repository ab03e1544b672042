"""What a ledger keeps: no slow writer sets it back, and it stays small."""

from hypothesis import given
from hypothesis import strategies as st

from model import ledger
from model.ledger import Handling, LedgerQuestion, LedgerState, Recording

MAIN = "refs/heads/main"
A, B, C = (letter * 40 for letter in "abc")


def handled(state: LedgerState, commit: str, since: int, ref: str = MAIN, **more: object) -> None:
    handling = Handling.model_validate({"ref": ref, "commit": commit, "since": since, **more})
    ledger.record(state, Recording(handlings=(handling,)), now=1.0)


def test_a_slow_writer_that_has_read_an_older_entry_is_refused() -> None:
    state = LedgerState(repository="git.test/app")
    handled(state, A, since=0)
    read = state.refs[MAIN].number
    handled(state, C, since=read)
    handled(state, B, since=read)
    assert state.refs[MAIN].commit == C


def test_said_twice_it_is_once() -> None:
    state = LedgerState(repository="git.test/app")
    for _ in range(2):
        handled(state, A, since=0, delivery="d1")
    assert state.refs[MAIN].number == 1
    assert state.deliveries == ["d1"]


def test_a_ref_that_came_back_is_another_entry_than_the_one_before() -> None:
    state = LedgerState(repository="git.test/app")
    handled(state, A, since=0)
    first = state.refs[MAIN].number
    ledger.record(state, Recording(forget={MAIN: first}), now=2.0)
    assert MAIN not in state.refs
    handled(state, A, since=0)
    assert state.refs[MAIN].number > first
    ledger.record(state, Recording(forget={MAIN: first}), now=3.0)
    assert MAIN in state.refs, "who speaks of the entry before does not forget this one"


def test_the_ref_that_was_touched_longest_ago_goes_first_and_it_is_counted() -> None:
    state = LedgerState(repository="git.test/app")
    for number in range(ledger.REFS_KEPT):
        handled(state, A, since=0, ref=f"refs/heads/{number}")
    handled(state, B, since=state.refs["refs/heads/0"].number, ref="refs/heads/0")
    handled(state, A, since=0, ref="refs/heads/new")
    assert len(state.refs) == ledger.REFS_KEPT
    assert "refs/heads/0" in state.refs
    assert "refs/heads/1" not in state.refs
    assert state.forgotten == 1


def test_it_stays_below_what_temporal_takes_also_with_long_names() -> None:
    state = LedgerState(repository="git.test/app")
    long = "x" * 230
    for number in range(ledger.REFS_KEPT):
        handled(state, A, since=0, ref=f"refs/heads/{number}{long}", delivery="d" * 128)
    assert len(state.model_dump_json()) < 2 * 1024 * 1024
    assert state.forgotten > 0


def test_deliveries_are_known_for_a_while() -> None:
    state = LedgerState(repository="git.test/app")
    for number in range(ledger.DELIVERIES_KEPT + 1):
        handled(state, A, since=0, ref=f"refs/heads/{number}", delivery=f"d{number}")
    known = [
        ledger.answer(state, LedgerQuestion(repository="git.test/app", delivery=f"d{number}")).delivered
        for number in (0, 1, ledger.DELIVERIES_KEPT)
    ]
    assert known == [False, True, True]


def test_compared_with_the_refs_it_tells_what_was_missed_and_what_is_gone() -> None:
    state = LedgerState(repository="git.test/app")
    handled(state, A, since=0)
    handled(state, B, since=0, ref="refs/heads/same")
    handled(state, B, since=0, ref="refs/heads/gone")
    heads = {MAIN: C, "refs/heads/same": B, "refs/tags/v1": A}
    found = ledger.compare(state.refs, heads)
    assert {missed.ref: missed.commit for missed in found.missed} == {MAIN: C, "refs/tags/v1": A}
    assert list(found.gone) == ["refs/heads/gone"]
    assert found.missed[0].since == state.refs[MAIN]
    only = ledger.compare(state.refs, heads, asked=(MAIN,))
    assert ([missed.ref for missed in only.missed], only.gone) == ([MAIN], {})


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30))
def test_writers_that_look_again_after_a_refusal_end_with_the_last_one_in_front(
    writers: list[tuple[str, bool]],
) -> None:
    """Each reads, perhaps while another writes, and tries again with what it then finds: compare and set."""
    state = LedgerState(repository="git.test/app")
    stale = 0
    for letter, slow in writers:
        commit = letter * 40
        since = stale if slow else (state.refs[MAIN].number if MAIN in state.refs else 0)
        stale = state.refs[MAIN].number if MAIN in state.refs else 0
        handled(state, commit, since=since)
        if state.refs[MAIN].commit != commit:
            handled(state, commit, since=state.refs[MAIN].number)
        assert state.refs[MAIN].commit == commit
