"""Blanks in PromQL."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.promql import VARIABLES, fill, problem, uses

VALUES = dict.fromkeys(VARIABLES, "") | {"component": "web", "release": 'we"b\\-1.2'}


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ("up", "up"),
        ('up{c="{{component}}"}', 'up{c="web"}'),
        ('up{c="{{ component }}"}', 'up{c="web"}'),
        ("up{c='{{component}}-x'}", "up{c='web-x'}"),
        ('up{r="{{release}}"}', r'up{r="we\x22b\x5c-1.2"}'),
        ('up{r=~"{{component}}-.*"}', 'up{r=~"web-.*"}'),
        (r'up{a="\"",c="{{component}}"}', r'up{a="\"",c="web"}'),
        ('up{a="#",c="{{component}}"}', 'up{a="#",c="web"}'),
        ('up # {{nothing}} "\n+ up', "up \n+ up"),
        # An open blank is none: it is Prometheus' to refuse.
        ('up{c="{{component}}"}[{{', 'up{c="web"}[{{'),
        ("up{c={{component}}}", None),
        ("up{c=`{{component}}`}", None),
        ('up{c="{{pod}}"}', None),
        ('up{c="{{}}"}', None),
    ],
)
def test_blanks_are_filled_in_inside_strings_and_refused_elsewhere(query: str, filled: str | None) -> None:
    if filled is None:
        assert problem(query)
        with pytest.raises(ValueError, match=r"\{\{"):
            fill(query, VALUES)
    else:
        assert fill(query, VALUES) == filled
        assert problem(query) == ""


def test_what_is_compared_as_a_regular_expression_is_escaped_as_one() -> None:
    assert fill('up{r=~"{{release}}"}', {**VALUES, "release": "1.2"}) == r'up{r=~"1\x5cx{2e}2"}'
    assert fill('up{r=~"{{release}}"}', VALUES).count("|") == 0


def test_a_query_is_known_to_use_a_variable() -> None:
    assert uses('up{r="{{ release }}"}', "release")
    assert not uses('up{r="release"}', "release")


@given(st.text(max_size=40), st.sampled_from(['"', "'"]))
def test_no_value_can_leave_its_string(value: str, quote: str) -> None:
    filled = fill(f"up{{r={quote}{{{{release}}}}{quote}}} > 1", {**VALUES, "release": value})
    assert filled.startswith(f"up{{r={quote}")
    literal = filled.removeprefix("up{r=").removesuffix("} > 1")
    # Go's escapes that are used here are Python's too.
    assert ast.literal_eval(literal) == value
