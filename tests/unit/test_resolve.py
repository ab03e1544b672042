"""Pipelines with their rules resolved."""

from typing import Any

import pytest

from model import defaults, resolve
from model.check import HttpCheck
from model.component import Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.pipeline import Pipeline
from tests.unit.manifests import environment, pipeline, policy

COMPONENT = Component(key=ComponentKey(name="web"), project="shop")
THREE = [environment("development"), environment("staging"), environment("production", production=True)]
LINE = pipeline(
    ("development", ["staging"]), ({"name": "staging"}, [{"kind": "Environment", "name": "production"}])
)


def resolved(declared: dict[str, Any] = LINE, *policies: dict[str, Any]) -> Pipeline:
    return resolve.pipeline(COMPONENT, declared, THREE, list(policies))


def test_the_default_pipeline_asks_for_one_approval_before_production() -> None:
    found = resolve.pipeline(COMPONENT, defaults.pipeline("default"), defaults.environments("default"), [])
    assert [(step.environment, step.sources, step.policy.approvals) for step in found.steps] == [
        ("development", (), 0),
        ("staging", ("development",), 0),
        ("production", ("staging",), 1),
    ]
    assert found.steps[2].policy.source == "approvals: default for production"
    assert {step.plane for step in found.steps} == {"default"}


def test_both_shapes_of_references_are_one_graph() -> None:
    assert [step.environment for step in resolved().steps] == ["development", "staging", "production"]


def test_branches_join_again() -> None:
    places = [environment(name) for name in ("dev", "eu", "us", "live")]
    graph = pipeline(("dev", ["eu", "us"]), ("eu", ["live"]), ("us", ["live"]))
    found = resolve.pipeline(COMPONENT, graph, places, [])
    assert found.steps[0].environment == "dev"
    assert found.step("live").sources == ("eu", "us")


def test_planes_come_from_environments_in_both_shapes() -> None:
    places = [environment("a", plane="eu"), environment("b", plane={"kind": "ClusterDataPlane", "name": "us"})]
    found = resolve.pipeline(COMPONENT, pipeline(("a", ["b"])), places, [])
    assert [step.plane for step in found.steps] == ["eu", "us"]


@pytest.mark.parametrize("flag", ["requiresApproval", "isManualApprovalRequired"])
@pytest.mark.parametrize(("value", "approvals"), [(True, 1), (False, 0)])
def test_v08s_approval_flags_are_honoured(flag: str, value: bool, approvals: int) -> None:
    graph = pipeline(("development", [{"name": "staging", flag: value}]))
    step = resolved(graph).step("staging")
    assert step.policy.approvals == approvals
    assert step.policy.source == "approvals: DeploymentPipeline default"


def test_the_most_specific_policy_that_states_a_rule_wins_rule_by_rule() -> None:
    found = resolved(
        LINE,
        policy("everywhere", {}, stability="10s", approvals={"required": 1, "roles": ["ops"]}),
        policy("prod", {"environment": "production"}, approvals={"required": 2, "expiresAfter": "1h30m"}),
        policy("web", {"component": "web", "environment": "production"}, deadline="1m"),
        policy("other", {"component": "other"}, approvals={"required": 9}),
        policy("shop", {"project": "shop"}, verification={"http": [{"path": "/ready", "timeout": "500s"}]}),
    )
    rules = found.step("production").policy
    assert (rules.approvals, rules.approver_roles) == (2, ("ops",))
    assert rules.approval_lasts_seconds == 5400
    assert (rules.stability_seconds, rules.deadline_seconds) == (10, 60)
    assert rules.checks == (HttpCheck(path="/ready", timeout_seconds=500),)
    assert "approvals: PromotionPolicy prod" in rules.source
    assert "approver_roles: PromotionPolicy everywhere" in rules.source
    assert found.step("development").policy.approvals == 1


def test_a_policy_about_something_else_does_not_lift_productions_approval() -> None:
    found = resolved(LINE, policy("prod", {"environment": "production"}, stability="1s"))
    assert found.step("production").policy.approvals == 1


def test_an_empty_list_of_checks_switches_verification_off() -> None:
    assert resolved(LINE, policy("none", {}, verification={"http": []})).steps[0].policy.checks == ()


@pytest.mark.parametrize(
    ("declared", "reason", "named"),
    [
        (pipeline(("development", ["qa"])), "UnknownEnvironment", "spec.promotionPaths.0.targetEnvironmentRefs.0"),
        (pipeline(("qa", [])), "UnknownEnvironment", "spec.promotionPaths.0.sourceEnvironmentRef"),
        (
            pipeline(("development", ["staging"]), ("staging", ["development"])),
            "PipelineCycle",
            "development",
        ),
        (pipeline(), "PipelineEmpty", "spec.promotionPaths"),
        (pipeline((7, [])), "InvalidManifest", "spec.promotionPaths.0.sourceEnvironmentRef"),
    ],
)
def test_graphs_that_cannot_be_walked_are_refused(declared: dict[str, Any], reason: str, named: str) -> None:
    with pytest.raises(UserFailure) as caught:
        resolved(declared)
    assert caught.value.reason == reason
    assert named in caught.value.message


def test_a_policy_that_cannot_be_read_is_not_passed_over() -> None:
    with pytest.raises(UserFailure) as caught:
        resolved(LINE, policy("broken", {}, approvals={"required": "two"}))
    assert "spec.approvals.required" in caught.value.message
    with pytest.raises(UserFailure) as caught:
        resolved(LINE, policy("broken", {}, stability="soon"))
    assert "spec.stability" in caught.value.message


GITOPS = {
    "repository": {"url": "https://git.example/ops.git", "secretRef": {"name": "ops"}},
    "path": "apps/production/kustomization.yaml",
    "write": "kustomizeImage",
    "image": "web",
    "controller": {"name": "apps", "namespace": "flux-system"},
    "timeout": "2m",
}


def test_gitops_says_where_a_release_is_written_and_who_applies_it() -> None:
    rules = resolved(LINE, policy("ops", {"environment": "production"}, gitops=GITOPS)).step("production").policy
    assert rules.gitops is not None
    assert (rules.gitops.branch, rules.gitops.mode, rules.gitops.secret) == ("main", "commit", "ops")
    assert (rules.gitops.controller.kind, rules.gitops.controller.namespace) == ("Kustomization", "flux-system")
    assert rules.gitops.wait_seconds == 120
    assert "gitops: PromotionPolicy ops" in rules.source


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"path": "../outside.yaml"}, "path"),
        ({"path": "a/../../b"}, "path"),
        ({"path": "-rf"}, "path"),
        ({"path": ".git/config"}, "path"),
        ({"repository": {"url": "file:///etc"}}, "repository"),
        ({"repository": {"url": "https://me:secret@git.example/x.git"}}, "repository"),
        ({"repository": {"url": "https://git.example/x.git", "branch": "a..b"}}, "repository"),
        ({"image": None}, "image"),
        ({"write": "helmValue"}, "key"),
        ({"write": "helmValue", "key": "a..b"}, "key"),
        ({"timeout": "2h"}, "timeout"),
        ({"controller": {"kind": "Deployment", "name": "x"}}, "controller.kind"),
    ],
)
def test_gitops_that_could_not_work_is_refused_with_its_field(changed: dict[str, Any], field: str) -> None:
    stated = {key: value for key, value in {**GITOPS, **changed}.items() if value is not None}
    with pytest.raises(UserFailure, match=rf"ops.*spec\.gitops\.{field}"):
        resolved(LINE, policy("ops", {"environment": "production"}, gitops=stated))


def test_gitops_and_a_strategy_of_the_engine_exclude_one_another() -> None:
    ops = policy("ops", {"environment": "production"}, gitops=GITOPS)
    blue = policy("blue", {}, strategy={"blueGreen": {}})
    with pytest.raises(UserFailure, match=r"production: PromotionPolicy ops: .*blueGreen exclude"):
        resolved(LINE, ops, blue)
    by_binding = policy("ops", {"environment": "production"}, gitops={**GITOPS, "write": "releaseBinding"})
    assert resolved(LINE, by_binding, blue).step("production").policy.gitops is not None
