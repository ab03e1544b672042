"""Hooks of a policy: what they come to, and what is refused with the field's name."""

from typing import Any

import pytest

from model import resolve
from model.component import Component
from model.failure import UserFailure
from model.hook import Hook
from model.key import ComponentKey
from model.policy import StepPolicy
from model.workload import Variable

JOB: dict[str, Any] = {"name": "migrate", "command": ["up"]}


def policy(hooks: dict[str, Any]) -> StepPolicy:
    """The rules of the one environment of a pipeline under a policy with these hooks."""
    pipeline = {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "DeploymentPipeline",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {"promotionPaths": [{"sourceEnvironmentRef": {"name": "dev"}, "targetEnvironmentRefs": []}]},
    }
    environment = {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "dev", "namespace": "default"},
        "spec": {},
    }
    declared = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": "rules", "namespace": "default"},
        "spec": {"hooks": hooks},
    }
    component = Component(key=ComponentKey(name="web"))
    return resolve.pipeline(component, pipeline, [environment], [declared]).step("dev").policy


def test_hooks_are_read_with_secrets_by_reference() -> None:
    secret = {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "admin", "key": "url"}}}
    env = [{"name": "MODE", "value": "fast"}, secret]
    found = policy({"before": [{**JOB, "env": env, "deadline": "2m", "retries": 1, "compensation": ["down"]}]})
    assert found.hooks_before == (
        Hook(
            name="migrate",
            command=("up",),
            variables=(Variable(name="MODE", value="fast"), Variable(name="DB", secret="admin", key="url")),
            deadline_seconds=120,
            retries=1,
            compensation=("down",),
        ),
    )
    assert found.hooks_after == ()
    assert "hooks_before: PromotionPolicy rules" in found.source


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ({"before": [{"name": "migrate"}]}, "spec.hooks.before.0.command: name a command"),
        ({"after": [JOB, JOB]}, "spec.hooks.after: 'migrate' is named twice"),
        ({"after": [{**JOB, "deadline": "2h"}]}, "spec.hooks.after.0.deadline: must be from 1s to 1h"),
        ({"after": [{**JOB, "deadline": "0s"}]}, "spec.hooks.after.0.deadline"),
        ({"before": [{**JOB, "env": [{"name": "A"}]}]}, "spec.hooks.before.0.env.0: give A either"),
        ({"before": [{**JOB, "retries": 9}]}, "spec.hooks.before.0.retries"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(hooks: dict[str, Any], said: str) -> None:
    with pytest.raises(UserFailure) as refused:
        policy(hooks)
    assert said in refused.value.message
