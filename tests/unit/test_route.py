"""Weights are set where both Services stand side by side, and nowhere else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.failure import UserFailure
from model.route import weighted


def route(*rules: list[dict[str, Any]]) -> dict[str, Any]:
    made = [{"backendRefs": refs, "matches": [{"path": {"value": "/"}}]} for refs in rules]
    return {"metadata": {"name": "shop", "namespace": "dp"}, "spec": {"rules": made}}


@given(st.integers(0, 100))
def test_the_two_share_all_of_it(percent: int) -> None:
    other = {"name": "web-stable", "port": 80, "weight": 7}
    found = weighted(
        route([{"name": "web-stable"}, {"name": "web-canary"}], [other]), "web-stable", "web-canary", percent
    )
    assert [ref["weight"] for ref in found[0]["backendRefs"]] == [100 - percent, percent]
    assert found[1]["backendRefs"] == [other]
    assert found[0]["matches"] == [{"path": {"value": "/"}}]


@pytest.mark.parametrize(
    "refs",
    [
        [],
        [{"name": "web-stable"}],
        [{"name": "web-stable"}, {"name": "web-canary", "namespace": "elsewhere"}],
        [
            {"name": "web-stable"},
            {"name": "web-canary", "kind": "ServiceImport", "group": "multicluster.x-k8s.io"},
        ],
    ],
)
def test_a_route_without_both_is_refused_by_name(refs: list[dict[str, Any]]) -> None:
    with pytest.raises(UserFailure, match=r"HTTPRoute shop: spec\.rules: one rule must have both"):
        weighted(route(refs), "web-stable", "web-canary", 20)
