"""What a query against Prometheus came to: one number, or why there is none. Pure.

The API: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

import math
from typing import Any

from model.check import Baseline, QueryCheck
from model.sampling import Asked, Result
from model.value import Value

TEXT_LIMIT = 200


class Reading(Value):
    """One number, or (`value` None) the problem that there is instead. `lasting`: asking again is of no use."""

    value: float | None = None
    problem: str = ""
    lasting: bool = False


def read(document: Any) -> Reading:
    """The number in an answer of the API. Anything but exactly one finite number is a problem."""
    if not isinstance(document, dict):
        return Reading(problem="the answer is not Prometheus'")
    if document.get("status") != "success":
        refused = document.get("errorType") == "bad_data"
        return Reading(problem=f"{document.get('error') or 'an error'}"[:TEXT_LIMIT], lasting=refused)
    warnings = document.get("warnings")
    if warnings:
        return Reading(problem=f"the answer is incomplete: {warnings!s}"[:TEXT_LIMIT])
    data = document.get("data")
    if not isinstance(data, dict):
        return Reading(problem="the answer is not Prometheus'")
    kind, result = data.get("resultType"), data.get("result")
    if not isinstance(result, list):
        return Reading(problem="the answer is not Prometheus'")
    if kind == "scalar":
        return _number(result)
    if kind != "vector":
        return Reading(problem=f"the query gives a {kind}, and one number is wanted", lasting=True)
    if not result:
        return Reading(problem="there is no data")
    if len(result) > 1:
        return Reading(
            problem=f"the query gives {len(result)} series, and one is wanted: aggregate, as with sum()"
        )
    series = result[0]
    if not isinstance(series, dict) or "value" not in series:
        return Reading(problem="the query gives a histogram, and one number is wanted", lasting=True)
    return _number(series["value"])


def _number(pair: Any) -> Reading:
    try:
        value = float(pair[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return Reading(problem="the answer is not Prometheus'")
    if math.isnan(value):
        return Reading(problem="the value is not a number (NaN): was there any traffic?")
    if math.isinf(value):
        return Reading(problem=f"the value is infinite ({'+' if value > 0 else '-'}Inf)")
    return Reading(value=value)


def asked(check: QueryCheck) -> Asked:
    """How the answers to a query are judged and told."""
    return Asked(
        name=f"query {check.name}",
        subject=f"Query {check.name}",
        limits=check,
        passed="QueryPassed",
        failed="QueryFailed",
        unanswered="QueryInconclusive",
        hint="No data is never a pass.",
    )


def compare(check: QueryCheck, reading: Reading, baseline: Reading | None) -> tuple[Result, str]:
    """What one number comes to against the check's limits, and how to say it (after the check's name).

    `baseline` is what the baseline's query came to; None when there is no release before this one.
    """
    if reading.value is None:
        return "unreachable", f"cannot be judged: {reading.problem}"
    value, shown = reading.value, f"is {_shown(reading.value)}"
    if check.max is not None and value > check.max:
        return "failed", f"{shown}, more than {_shown(check.max)}"
    if check.min is not None and value < check.min:
        return "failed", f"{shown}, less than {_shown(check.min)}"
    if check.baseline is None:
        return "passed", shown
    if baseline is None:
        if check.max is None and check.min is None:
            return "unreachable", f"{shown}, and there is no release before this one to compare with"
        return "passed", f"{shown} (no release before this one to compare with)"
    if baseline.value is None:
        return "unreachable", f"{shown}, and its baseline cannot be judged: {baseline.problem}"
    return _against(check.baseline, value, baseline.value)


def _against(rule: Baseline, value: float, base: float) -> tuple[Result, str]:
    shown = f"is {_shown(value)}, its baseline {_shown(base)}"
    if base < 0:
        return "unreachable", f"{shown}: a ratio to less than nothing says nothing"
    if rule.max_ratio is not None and value > (limit := base * rule.max_ratio + rule.slack):
        return "failed", f"{shown}: more than {_shown(limit)}"
    if rule.min_ratio is not None and value < (limit := base * rule.min_ratio - rule.slack):
        return "failed", f"{shown}: less than {_shown(limit)}"
    return "passed", shown


def _shown(value: float) -> str:
    return f"{value:.6g}"
