"""Policies whose gates can never open are refused, with the field that is wrong."""

from typing import Any

import pytest

from model import stated_gates
from model.component import Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.resolve import pipeline

PIPELINE = {
    "apiVersion": "openchoreo.dev/v1alpha1",
    "kind": "DeploymentPipeline",
    "metadata": {"name": "default"},
    "spec": {
        "promotionPaths": [{"sourceEnvironmentRef": "staging", "targetEnvironmentRefs": [{"name": "production"}]}]
    },
}
ENVIRONMENTS = [
    {"kind": "Environment", "metadata": {"name": "staging"}, "spec": {}},
    {"kind": "Environment", "metadata": {"name": "production"}, "spec": {"isProduction": True}},
]
WEB = Component(key=ComponentKey(name="web"), project="shop", uid="u")


def policy(name: str = "rules", **spec: Any) -> dict[str, Any]:
    return {"kind": "PromotionPolicy", "metadata": {"name": name}, "spec": spec}


def freeze(name: str = "xmas", **spec: Any) -> dict[str, Any]:
    return {"kind": "Freeze", "metadata": {"name": name}, "spec": spec}


def resolved(*policies: dict[str, Any], freezes: tuple[dict[str, Any], ...] = ()) -> Any:
    return pipeline(WEB, PIPELINE, ENVIRONMENTS, list(policies), freezes).step("production").policy


@pytest.mark.parametrize(
    ("spec", "reason", "field"),
    [
        ({"approvals": {"required": 3, "people": ["a", "b", "b"]}}, "BadApprovals", "approvals.required"),
        ({"approvals": {"expiresAfter": "0s"}}, "BadApprovals", "approvals.expiresAfter"),
        ({"soak": "3d", "approvals": {"gateExpiresAfter": "2d"}}, "BadApprovals", "approvals.gateExpiresAfter"),
        ({"windows": {"allow": [{"from": "09:00", "to": "09:00"}]}}, "BadWindow", "windows.allow.0"),
        ({"windows": {"allow": [{"from": "24:00", "to": "09:00"}]}}, "BadWindow", "windows.allow.0.from"),
        ({"windows": {"deny": [{}]}}, "BadWindow", "windows.deny"),
        (
            {
                "windows": {
                    "allow": [{"days": ["mon"]}],
                    "deny": [{"days": ["mon"], "from": "00:00", "to": "24:00"}],
                }
            },
            "BadWindow",
            "windows.deny",
        ),
        ({"windows": {"timeZone": "Europe/Nowhere", "allow": [{}]}}, "UnknownTimeZone", "windows.timeZone"),
        ({"freezes": [{"from": "2026-12-24", "until": "2026-12-20"}]}, "BadFreeze", "freezes.0.until"),
        ({"freezes": [{"from": "2026-02-30", "until": "2026-12-20"}]}, "BadFreeze", "freezes.0.from"),
        (
            {"freezes": [{"from": "2026-01-01", "until": "2026-01-02", "timeZone": "Mars/Base"}]},
            "UnknownTimeZone",
            "freezes.0.timeZone",
        ),
        ({"external": [{"name": "a"}]}, "BadExternal", "external.0"),
        (
            {
                "external": [
                    {"name": "a", "webhook": {"url": "http://x/y"}},
                    {"name": "a", "job": {"command": ["x"]}},
                ]
            },
            "BadExternal",
            "external.1.name",
        ),
        (
            {"external": [{"name": "a", "webhook": {"url": "http://x/y"}, "timeout": "10m"}]},
            "BadExternal",
            "external.0.timeout",
        ),
        (
            {"external": [{"name": "a", "webhook": {"url": "http://me:secret@x/y"}}]},
            "InvalidManifest",
            "external.0",
        ),
        ({"windows": {"allow": [{"from": "9 o'clock"}]}}, "InvalidManifest", "windows.allow.0.from"),
    ],
)
def test_a_gate_that_can_never_open_is_refused(spec: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(UserFailure) as refused:
        resolved(policy(**spec))
    assert refused.value.reason == reason
    assert field in refused.value.message
    assert "secret" not in refused.value.message


def test_the_nearest_policy_wins_rule_by_rule_and_says_so() -> None:
    found = resolved(
        policy(
            "by-pipeline",
            selector={"pipeline": "default"},
            soak="1h",
            approvals={"required": 1, "groups": ["ops"]},
        ),
        policy("by-environment", selector={"environment": "production"}, soak="2h", overrideRoles=["chief"]),
        policy("by-project", selector={"project": "shop"}, soak="3h"),
        policy("by-component", selector={"component": "web"}, approvals={"required": 2}),
        policy("another", selector={"component": "api"}, soak="9h"),
    )
    assert (found.approvals, found.soak_seconds, found.override_roles) == (2, 3 * 3600, ("chief",))
    assert found.approver_groups == ("ops",)
    assert found.origins == {
        "approvals": "PromotionPolicy by-component",
        "soak_seconds": "PromotionPolicy by-project",
        "override_roles": "PromotionPolicy by-environment",
        "approver_groups": "PromotionPolicy by-pipeline",
    }


def test_no_narrower_policy_lifts_a_freeze() -> None:
    found = resolved(
        policy("company", freezes=[{"from": "2026-12-24", "until": "2027-01-02", "reason": "holidays"}]),
        policy("team", selector={"component": "web"}, freezes=[]),
        freezes=(
            freeze("incident", **{"from": "2026-11-01T10:00:00Z", "until": "2026-11-01T12:00:00Z", "by": "alice"}),
            freeze(
                "elsewhere", **{"from": "2026-11-01", "until": "2026-11-02", "selector": {"environment": "qa"}}
            ),
        ),
    )
    assert [each.source for each in found.freezes] == ["PromotionPolicy company", "Freeze incident"]
    assert found.freezes[1].reason == "by alice"
    assert found.origins["freezes"] == "PromotionPolicy company, Freeze incident"
    assert stated_gates.lasting(found.freezes, found.freezes[1].end) == found.freezes[:1]


def test_a_freeze_by_dates_is_as_long_as_the_clocks_make_it() -> None:
    [held] = resolved(
        policy(freezes=[{"from": "2026-10-25", "until": "2026-10-26", "timeZone": "Europe/Berlin"}])
    ).freezes
    assert held.end - held.start == 25 * 3600


def test_a_freeze_from_a_time_that_comes_twice_holds_from_the_first() -> None:
    [held] = resolved(
        policy(freezes=[{"from": "2026-10-25T02:30", "until": "2026-10-25T02:45", "timeZone": "Europe/Berlin"}])
    ).freezes
    assert held.end - held.start == 3600 + 15 * 60
