"""What can never work is refused when it is applied, with the field."""

from typing import Any

import pytest

from model.policy_check import faults

ENVIRONMENTS = ("staging", "production")


def policy(**spec: Any) -> dict[str, Any]:
    return {"kind": "PromotionPolicy", "metadata": {"name": "p"}, "spec": spec}


def pipeline(*paths: tuple[str, str]) -> dict[str, Any]:
    return {
        "kind": "DeploymentPipeline",
        "metadata": {"name": "line"},
        "spec": {
            "promotionPaths": [
                {"sourceEnvironmentRef": source, "targetEnvironmentRefs": [{"name": target}]}
                for source, target in paths
            ]
        },
    }


@pytest.mark.parametrize(
    ("obj", "reason", "field"),
    [
        (policy(selector={"environment": "nowhere"}), "UnknownEnvironment", "spec.selector.environment"),
        (
            policy(requires=[{"component": "api", "environment": "nowhere"}]),
            "UnknownEnvironment",
            "spec.requires.0.environment",
        ),
        (
            policy(selector={"component": "api"}, requires=[{"component": "api"}]),
            "BadRequirement",
            "spec.requires.0.component",
        ),
        (policy(approvals={"required": 2, "people": ["a"]}), "BadApprovals", "spec.approvals.required"),
        (policy(windows={"allow": [{"from": "10:00", "to": "10:00"}]}), "BadWindow", "spec.windows.allow.0"),
        (policy(soak="soon"), "InvalidManifest", "spec.soak"),
        (pipeline(("staging", "production"), ("production", "staging")), "PipelineCycle", "spec.promotionPaths"),
        (pipeline(("staging", "staging")), "PipelineCycle", "spec.promotionPaths"),
        (
            pipeline(("staging", "prod")),
            "UnknownEnvironment",
            "spec.promotionPaths.0.targetEnvironmentRefs.0",
        ),
        (
            {"kind": "Freeze", "metadata": {"name": "f"}, "spec": {"from": "2026-01-02", "until": "2026-01-02"}},
            "BadFreeze",
            "spec.until",
        ),
        (
            {
                "kind": "Repository",
                "metadata": {"name": "r"},
                "spec": {"url": "https://git.test/a/b", "filters": {"paths": {"shared": ["libs/", "../x"]}}},
            },
            "BadFilter",
            "Repository r: spec.filters.paths.shared.1",
        ),
        (
            {
                "kind": "Component",
                "metadata": {"name": "c", "annotations": {"towpath.dev/filters": "tags: {versions: one}"}},
            },
            "BadFilter",
            "tags.versions",
        ),
        (
            {
                "kind": "Component",
                "metadata": {"name": "c", "annotations": {"towpath.dev/build-schedule": "0 24 * * *"}},
            },
            "BadSchedule",
            "line 1",
        ),
    ],
)
def test_it_is_refused_with_its_field(obj: dict[str, Any], reason: str, field: str) -> None:
    [fault] = faults(obj, ENVIRONMENTS)
    assert fault.reason == reason
    assert field in fault.message


@pytest.mark.parametrize(
    "obj",
    [
        policy(selector={"environment": "production"}, approvals={"required": 2, "people": ["a"], "roles": ["r"]}),
        policy(requires=[{"component": "api", "environment": "staging", "sameCommit": True}], soak="2d"),
        pipeline(("staging", "production")),
        {"kind": "Component", "metadata": {"name": "x"}},
    ],
)
def test_what_can_work_is_let_in(obj: dict[str, Any]) -> None:
    assert faults(obj, ENVIRONMENTS) == ()


def test_a_policy_may_come_before_the_environments_that_are_made_by_default() -> None:
    assert faults(policy(selector={"environment": "production"}), ()) == ()
    assert faults(policy(selector={"environment": "qa"}), ()) != ()
