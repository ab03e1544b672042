"""A project of several components, for tests of release sets and hooks."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from model.component import Component
from model.image import Image
from model.job import JobRequest, JobResult
from model.key import ComponentKey
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.release import Release
from model.rollout import Applied, RolloutRequest
from model.verdict import Verdict
from model.workload import Dependency, Workload
from tests.workflows.world import CRASHING, HEALTHY, World, commit


def member(name: str, number: int, *calls: str) -> Release:
    """The n-th release of a component of the shop, which calls others."""
    return Release(
        name=f"{name}-{number}",
        component=ComponentKey(name=name),
        project="shop",
        commit=commit(number),
        image=Image(repository=f"registry.test/default/shop/{name}", digest=f"sha256:{number:064x}"),
        workload=Workload(dependencies=tuple(Dependency(component=other, endpoint="http") for other in calls)),
        sequence=number,
    )


def one_step(**policy: object) -> Pipeline:
    """Production alone."""
    step = EnvironmentStep(environment="production", policy=StepPolicy.model_validate(policy))
    return Pipeline(name="default", steps=(step,))


@dataclass
class Shop(World):
    """Scripts: releases in `crashing` never become healthy, of those in `unclear` nobody can tell, and those in
    `gates` wait. `log` is what was applied."""

    pipeline: Pipeline = field(default_factory=one_step)
    crashing: set[str] = field(default_factory=set)
    unclear: set[str] = field(default_factory=set)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    jobs: list[JobRequest] = field(default_factory=list)
    job_results: dict[str, JobResult] = field(default_factory=dict)
    pipelines: dict[str, Pipeline] = field(default_factory=dict)

    def has(self, *names: str) -> None:
        """Declare these components."""
        self.components = [Component(key=ComponentKey(name=name), project="shop") for name in names]

    def all(self) -> list[Callable[..., Any]]:
        return [*super().all(), self.run_job]

    @activity.defn(name="resources.pipeline")
    async def read_pipeline(self, component: Component) -> Pipeline:
        return self.pipelines.get(component.key.name, self.pipeline)

    @activity.defn(name="cluster.apply")
    async def apply(self, request: RolloutRequest) -> Applied:
        name, environment = request.release.name, request.target.step.environment
        self.log.append(name)
        self.runs[environment, request.release.component.name] = name
        return Applied(
            namespace=environment, name=name, uid="d", generation=1,
            image=request.release.image.reference, stability_seconds=0, deadline_seconds=10,
        )  # fmt: skip

    @activity.defn(name="cluster.watch")
    async def watch(self, applied: Applied) -> Verdict:
        gate = self.gates.get(applied.name)
        while gate is not None and not gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        return CRASHING if applied.name in self.crashing else HEALTHY

    @activity.defn(name="verification.verify")
    async def verify(self, request: RolloutRequest) -> Verdict:
        if request.release.name in self.unclear:
            return Verdict(health="inconclusive", reason="NoData", message="Nobody can tell.")
        return HEALTHY

    @activity.defn(name="jobs.run")
    async def run_job(self, request: JobRequest) -> JobResult:
        """Scripted by the Job's name; `gates` hold it up like a rollout. The same id is one Job."""
        gate = self.gates.get(request.name)
        if all(known.id != request.id for known in self.jobs):
            self.jobs.append(request)
            self.log.append(f"job {request.name} {request.release.name}")
        while gate is not None and not gate.is_set():
            activity.heartbeat()
            await asyncio.sleep(0.05)
        fine = JobResult(result="succeeded", reason="JobSucceeded", message="The Job succeeded.", exit_code=0)
        return self.job_results.get(request.name, fine)
