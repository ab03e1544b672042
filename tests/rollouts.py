"""Requests to deploy, as tests want them."""

from typing import Any

from model import names
from model.check import HttpCheck
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.release import Release, release_name
from model.rollout import RolloutRequest, Target
from model.workload import Endpoint, Workload

IMAGE = Image(repository="registry.example:5000/default/shop/web", digest="sha256:" + "a" * 64)
HTTP = Endpoint(name="http", port=80, target_port=8080)


def request(
    workload: Workload | None = None,
    *,
    image: Image = IMAGE,
    commit: str = "1" * 40,
    component: str = "web",
    project: str = "shop",
    environment: str = "development",
    revision: int = 1,
    fence: int = 2,
    stability: float = 1,
    deadline: float = 60,
    checks: tuple[HttpCheck, ...] = (HttpCheck(interval_seconds=0.05),),
) -> RolloutRequest:
    """A request to deploy one release of one component."""
    key = ComponentKey(name=component)
    workload = workload or Workload(endpoints=(HTTP,))
    policy = StepPolicy(stability_seconds=stability, deadline_seconds=deadline, checks=checks)
    return RolloutRequest(
        target=Target(
            component=Component(key=key, project=project, workload=workload),
            step=EnvironmentStep(environment=environment, policy=policy),
            namespace=names.data_namespace(key.namespace, project, environment),
        ),
        release=Release(
            name=release_name(key, commit, image, workload),
            component=key,
            project=project,
            commit=Commit(id=commit),
            image=image,
            workload=workload,
            sequence=1,
        ),
        revision=revision,
        fence=fence,
    )


def with_policy(asked: RolloutRequest, **rules: Any) -> RolloutRequest:
    """The same request under other rules."""
    policy = asked.target.step.policy.model_copy(update=rules)
    step = asked.target.step.model_copy(update={"policy": policy})
    return asked.model_copy(update={"target": asked.target.model_copy(update={"step": step})})
