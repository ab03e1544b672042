"""The order of a set: never before what it calls, and back the other way round."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.failure import UserFailure
from model.ordering import as_told, by_dependencies, in_order, refuse_cycles, reverse
from tests.workflows.shop import member

NAMES = ("a", "b", "c", "d", "e", "f")


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Any order without a circle: each waits only for some of those drawn before it."""
    names = draw(st.permutations(NAMES))
    return {
        name: tuple(sorted(draw(st.sets(st.sampled_from(names[:at]))) if at else ()))
        for at, name in enumerate(names)
    }


@given(acyclic())
def test_whatever_is_waited_for_comes_first(after: dict[str, tuple[str, ...]]) -> None:
    ordered = in_order(after)
    assert sorted(ordered) == sorted(after)
    assert all(ordered.index(before) < ordered.index(name) for name in after for before in after[name])


@given(acyclic())
def test_the_way_back_is_the_other_way_round(after: dict[str, tuple[str, ...]]) -> None:
    back = reverse(after)
    assert {(name, before) for name in after for before in after[name]} == {
        (waits, name) for name in back for waits in back[name]
    }
    refuse_cycles(back)
    assert {name: set(before) for name, before in reverse(back).items()} == {
        name: set(before) for name, before in after.items()
    }


@given(acyclic(), st.data())
def test_a_circle_is_refused_by_the_names_in_it(after: dict[str, tuple[str, ...]], data: st.DataObject) -> None:
    ordered = in_order(after)
    first, last = sorted(data.draw(st.sets(st.integers(0, len(ordered) - 1), min_size=2, max_size=2)))
    closed = {**after, ordered[first]: (*after[ordered[first]], ordered[last])}
    closed[ordered[last]] = tuple(sorted({*closed[ordered[last]], ordered[first]}))
    with pytest.raises(UserFailure) as refused:
        refuse_cycles(closed)
    assert refused.value.reason == "SetCycle"
    assert " -> " in refused.value.message


def test_the_message_reads_in_the_direction_of_the_calls() -> None:
    with pytest.raises(UserFailure) as refused:
        by_dependencies([member("web", 1, "api"), member("api", 1, "db"), member("db", 1, "web")])
    assert any(circle in refused.value.message for circle in ("web -> api", "api -> db", "db -> web"))
    assert "api -> web" not in refused.value.message


def test_only_members_of_the_set_count() -> None:
    after = by_dependencies([member("web", 1, "api", "elsewhere", "web"), member("api", 1)])
    assert after == {"web": ("api",), "api": ()}


@pytest.mark.parametrize(
    ("order", "said"),
    [(("a",), "leaves out b"), (("a", "b", "x"), "names others: x"), (("a", "b", "a"), "twice a")],
)
def test_an_order_that_is_not_of_the_set_is_refused(order: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserFailure) as refused:
        as_told(("a", "b"), order)
    assert said in refused.value.message


def test_a_told_order_is_one_after_the_other() -> None:
    assert as_told(("a", "b", "c"), ("c", "a", "b")) == {"c": (), "a": ("c",), "b": ("a",)}
