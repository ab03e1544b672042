"""The verification of a PromotionPolicy, as rules of a step."""

from typing import Any

import pytest

from model.check import Baseline, GrpcCheck, HttpCheck, JobCheck, QueryCheck, Tls
from model.failure import UserFailure
from model.resources.declared import read
from model.resources.promotion_policy import PromotionPolicy
from model.stated_verification import verification
from tests.unit.manifests import policy

QUERY = 'sum(rate(errors{release="{{release}}"}[1m]))'


def stated(**rules: Any) -> dict[str, Any]:
    read_policy = read(PromotionPolicy, policy("strict", {}, verification=rules))
    found = verification(read_policy.spec.verification, "spec.verification")
    return {name: value for name, value in found.items() if value is not None}


def test_every_kind_of_check_is_read_with_its_limits() -> None:
    found = stated(
        http=[{"endpoint": "web", "path": "/ready", "tls": {"caConfigMap": "ca"}, "failureLimit": 5}],
        grpc=[{"service": "shop.Cart", "tls": {}, "initialDelay": "2s"}],
        jobs=[{"name": "smoke", "command": ["/smoke"], "timeout": "1m"}],
        prometheus=[
            {"name": "errors", "query": QUERY, "max": 0.05, "baseline": {"maxRatio": 1.5, "slack": 0.01}},
            {"name": "traffic", "query": QUERY, "server": "thanos", "min": 1, "samples": 2, "interval": "10s"},
        ],
        deadline="5m",
        onInconclusive="rollback",
        watchFor="1h",
        watchInterval="1m",
    )
    assert found == {
        "checks": (HttpCheck(endpoint="web", path="/ready", tls=Tls(ca_config_map="ca"), failure_limit=5),),
        "grpc": (GrpcCheck(service="shop.Cart", tls=Tls(), initial_delay_seconds=2),),
        "jobs": (JobCheck(name="smoke", command=("/smoke",), timeout_seconds=60),),
        "queries": (
            QueryCheck(name="errors", query=QUERY, max=0.05, baseline=Baseline(max_ratio=1.5, slack=0.01)),
            QueryCheck(name="traffic", query=QUERY, server="thanos", min=1, samples=2, interval_seconds=10),
        ),
        "verification_seconds": 300,
        "on_inconclusive": "rollback",
        "watch_seconds": 3600,
        "watch_interval_seconds": 60,
    }


def test_nothing_is_stated_where_nothing_is_said() -> None:
    assert stated() == {}
    assert stated(http=[]) == {"checks": ()}


@pytest.mark.parametrize(
    ("rules", "reason", "field"),
    [
        ({"prometheus": [{"name": "x", "query": "up"}]}, "NothingStated", "prometheus.0"),
        ({"prometheus": [{"name": "x", "query": "up", "baseline": {}}]}, "NothingStated", "prometheus.0.baseline"),
        ({"prometheus": [{"name": "x", "query": "up", "max": 1, "min": 2}]}, "BadLimit", "prometheus.0.max"),
        ({"prometheus": [{"name": "x", "query": "up", "max": 1}] * 2}, "NameTwice", "prometheus"),
        ({"prometheus": [{"name": "x", "query": "up{a={{release}}}", "max": 1}]}, "InvalidManifest", "query"),
        ({"prometheus": [{"name": "x", "query": 'up{a="{{pod}}"}', "max": 1}]}, "InvalidManifest", "query"),
        ({"prometheus": [{"name": "x", "query": "up", "max": float("nan")}]}, "InvalidManifest", "max"),
        ({"jobs": [{"name": "x"}]}, "NothingStated", "jobs.0"),
        ({"http": [{"samples": 100, "interval": "1m"}], "deadline": "5m"}, "NeverEnds", "deadline"),
        ({"http": [{"interval": "2h"}]}, "BadLimit", "http.0.interval"),
        ({"deadline": "2h"}, "BadLimit", "deadline"),
        ({"watchFor": "31d"}, "BadLimit", "watchFor"),
        ({"watchInterval": "0.5s"}, "BadLimit", "watchInterval"),
        ({"onInconclusive": "promote"}, "InvalidManifest", "onInconclusive"),
    ],
)
def test_what_can_never_be_met_is_refused_and_the_field_named(rules: Any, reason: str, field: str) -> None:
    with pytest.raises(UserFailure) as refused:
        stated(**rules)
    assert refused.value.reason == reason
    assert field in refused.value.message
