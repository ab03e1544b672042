"""The source's own `workload.yaml`: endpoints, settings and dependencies, kept beside the code.

The format is OpenChoreo's (its `workload create` reads the same file).
"""

from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from model import declared_workload
from model.failure import UserFailure
from model.resources.declared import Block, Label, explain
from model.resources.workload import Dependencies, EnvironmentVariable, MountedFile, WorkloadEndpoint
from model.workload import Endpoint, Workload

SIZE_LIMIT = 64 * 1024
DEPTH_LIMIT = 20


class NamedEndpoint(WorkloadEndpoint):
    """An endpoint of the file's list."""

    name: Label


class Configurations(Block):
    """Variables and files."""

    env: Annotated[list[EnvironmentVariable], Field(max_length=200)] = []
    files: Annotated[list[MountedFile], Field(max_length=50)] = []


class WorkloadFile(Block):
    """The file's content; unknown keys are left alone."""

    endpoints: Annotated[list[NamedEndpoint], Field(max_length=20)] = []
    configurations: Configurations = Configurations()
    dependencies: Dependencies = Dependencies()


def parse(text: str) -> Workload:
    """What the file says, as a Workload that holds only that (put it over a declared one with `merge`).

    Every scalar is read as text first, so `value: 5` and `value: true` stay as they were written.

    Raises:
        UserFailure: `BadWorkloadFile`, naming the field; also for more than 64 KiB, anchors, and nesting
            deeper than 20.
    """
    try:
        found = WorkloadFile.model_validate(_load(text))
        return Workload(
            endpoints=declared_workload.endpoints([(one.name, one) for one in found.endpoints], "endpoints"),
            variables=tuple(
                declared_workload.variable(one, f"configurations.env.{index}")
                for index, one in enumerate(found.configurations.env)
            ),
            files=tuple(
                declared_workload.file(one, f"configurations.files.{index}")
                for index, one in enumerate(found.configurations.files)
            ),
            dependencies=declared_workload.dependencies(found.dependencies.endpoints or []),
        )
    except ValidationError as error:
        raise _refuse(explain(error)) from None
    except UserFailure as failure:
        if failure.reason == "BadWorkloadFile":
            raise
        raise _refuse(failure.message) from None


def merge(declared: Workload, file: Workload | None) -> Workload:
    """The declared workload with the file put over it: the file travels with the commit, so it wins.

    Endpoints replace the declared ones when the file names any; variables, files and dependencies are
    replaced one by one.
    """
    return declared if file is None else declared_workload.merged(declared, file)


def default_endpoint(port: int = 8080) -> Endpoint:
    """What a service or web application listens on when nothing says: HTTP at 8080, within the project."""
    return Endpoint(name="http", port=port)


def _load(text: str) -> Any:
    if len(text.encode(errors="surrogatepass")) > SIZE_LIMIT:
        raise _refuse("it is larger than 64 KiB")
    depth = 0
    try:
        # Aliases make exponential documents out of small ones; depth makes the parser recurse.
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _refuse("anchors and aliases are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH_LIMIT:
                raise _refuse("it is nested too deeply")
        loaded = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  (BaseLoader makes text only)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise _refuse(f"it is not YAML{where}") from None
    except ValueError:
        raise _refuse("it is not YAML") from None
    return _without_empty(loaded) if loaded else {}


def _without_empty(value: Any) -> Any:
    """Mappings without keys that have nothing after the colon, which YAML means as null."""
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items() if item != "" or key == "value"}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def _refuse(message: str) -> UserFailure:
    return UserFailure("BadWorkloadFile", f"workload.yaml: {message}")
