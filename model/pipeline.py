"""The pipeline graph: environments and the paths between them, with branches and fan-in."""

from graphlib import CycleError, TopologicalSorter

from model.failure import UserFailure
from model.policy import StepPolicy
from model.value import Value


class EnvironmentStep(Value):
    """One environment of the pipeline: where it is, what it waits for, and its rules.

    `plane` names the data plane, `sources` the environments that the same release must have passed. `preview`:
    no environment of any pipeline, but the place of a change request's preview; what it calls is found in
    environment `neighbours`.
    """

    environment: str
    plane: str = "default"
    production: bool = False
    sources: tuple[str, ...] = ()
    policy: StepPolicy = StepPolicy()
    preview: bool = False
    neighbours: str = ""


class Pipeline(Value):
    """A pipeline's steps in promotion order (sources before targets)."""

    name: str
    steps: tuple[EnvironmentStep, ...]

    def step(self, environment: str) -> EnvironmentStep:
        """The step of an environment.

        Raises:
            UserFailure: `UnknownEnvironment`, naming those there are.
        """
        for step in self.steps:
            if step.environment == environment:
                return step
        known = ", ".join(step.environment for step in self.steps)
        raise UserFailure("UnknownEnvironment", f"Pipeline {self.name} has no {environment!r}; it has: {known}.")


def in_order(name: str, paths: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Environments so that sources come before targets; `paths` maps an environment to its sources.

    Raises:
        UserFailure: `PipelineCycle` when an environment would wait for itself.
    """
    try:
        return tuple(
            TopologicalSorter({target: sorted(sources) for target, sources in paths.items()}).static_order()
        )
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise UserFailure("PipelineCycle", f"Pipeline {name} goes in a circle: {circle}.") from None


def up_to(pipeline: Pipeline, environment: str) -> Pipeline:
    """Only the steps that lead to `environment`, it included; the whole pipeline when it is empty.

    Raises:
        UserFailure: `UnknownEnvironment`.
    """
    if not environment:
        return pipeline
    wanted = {environment}
    for step in reversed(pipeline.steps):
        if step.environment in wanted:
            wanted |= set(step.sources)
    pipeline.step(environment)
    return pipeline.model_copy(
        update={"steps": tuple(step for step in pipeline.steps if step.environment in wanted)}
    )
