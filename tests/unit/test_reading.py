"""What answers of Prometheus come to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.check import Baseline, QueryCheck
from model.reading import Reading, compare, read


def answer(result: Any, kind: str = "vector", **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def series(value: Any) -> list[Any]:
    return [{"metric": {}, "value": [1.5, value]}]


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (answer(series("0.25")), 0.25),
        (answer([1.5, "3"], kind="scalar"), 3),
        (answer(series("-1e-3"), infos=["metric might not be a counter"]), -0.001),
    ],
)
def test_one_number_is_read(document: Any, value: float) -> None:
    assert read(document) == Reading(value=value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (answer([]), "no data"),
        (answer(series("NaN")), "NaN"),
        (answer(series("+Inf")), "infinite"),
        (answer(series("-Inf")), "infinite"),
        (answer(series("1") * 2), "2 series"),
        (answer([{"metric": {}, "histogram": [1, {}]}]), "histogram"),
        (answer([], kind="matrix"), "matrix"),
        (answer([1, "x"], kind="string"), "string"),
        (answer(series("1"), warnings=["a store did not answer"]), "incomplete"),
        ({"status": "error", "errorType": "timeout", "error": "query timed out"}, "query timed out"),
        ({"status": "error", "errorType": "bad_data", "error": "parse error"}, "parse error"),
        ({"status": "success"}, "not Prometheus'"),
        (answer({"a": 1}), "not Prometheus'"),
        (answer(series({"a": 1})), "not Prometheus'"),
        ([], "not Prometheus'"),
        (None, "not Prometheus'"),
    ],
)
def test_everything_else_is_a_problem_and_never_a_number(document: Any, problem: str) -> None:
    reading = read(document)
    assert reading.value is None
    assert problem in reading.problem


def test_only_what_another_try_cannot_change_is_lasting() -> None:
    assert read({"status": "error", "errorType": "bad_data", "error": "parse error"}).lasting
    assert not read({"status": "error", "errorType": "timeout", "error": "x"}).lasting
    assert not read(answer([])).lasting


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "data", "result", "resultType", "value", "success", "vector"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_answers_is_a_finite_number_or_a_problem(document: Any) -> None:
    reading = read(document)
    assert (reading.value is None) == bool(reading.problem)


NONE = Reading(problem="there is no data")


def check(**limits: Any) -> QueryCheck:
    return QueryCheck(name="errors", query="q", **limits)


@pytest.mark.parametrize(
    ("limits", "value", "baseline", "result"),
    [
        ({"max": 0.05}, 0.05, None, "passed"),
        ({"max": 0.05}, 0.051, None, "failed"),
        ({"min": 2}, 2, None, "passed"),
        ({"min": 2}, 1.9, None, "failed"),
        ({"max": 5, "min": 2}, 1, None, "failed"),
        ({"max": 0}, None, None, "unreachable"),
        ({"baseline": Baseline(max_ratio=1.5)}, 15, 10, "passed"),
        ({"baseline": Baseline(max_ratio=1.5)}, 15.1, 10, "failed"),
        ({"baseline": Baseline(min_ratio=0.5)}, 4.9, 10, "failed"),
        ({"baseline": Baseline(max_ratio=2, slack=0.1)}, 0.1, 0, "passed"),
        ({"baseline": Baseline(max_ratio=2)}, 0.1, 0, "failed"),
        ({"baseline": Baseline(max_ratio=2)}, 0, 0, "passed"),
        ({"baseline": Baseline(max_ratio=2)}, 1, -1, "unreachable"),
        ({"baseline": Baseline(max_ratio=2)}, 1, "no data", "unreachable"),
        ({"baseline": Baseline(max_ratio=2)}, None, 1, "unreachable"),
        # The first release of all: nothing to compare with is no data, unless a threshold decides.
        ({"baseline": Baseline(max_ratio=2)}, 1, None, "unreachable"),
        ({"baseline": Baseline(max_ratio=2), "max": 1}, 1, None, "passed"),
        ({"baseline": Baseline(max_ratio=2), "max": 1}, 2, None, "failed"),
        # A threshold that is passed does not save what is much worse than before.
        ({"baseline": Baseline(max_ratio=2), "max": 100}, 30, 10, "failed"),
    ],
)
def test_thresholds_and_baselines(limits: Any, value: Any, baseline: Any, result: str) -> None:
    now = NONE if value is None else Reading(value=value)
    before = None if baseline is None else NONE if baseline == "no data" else Reading(value=baseline)
    found, said = compare(check(**limits), now, before)
    assert (found, bool(said)) == (result, True)
