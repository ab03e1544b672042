"""A component as the engine works with it, whichever API group it was declared in."""

from typing import Literal

from model.key import ComponentKey
from model.source import SourceLocation
from model.value import Value
from model.workload import Workload


class BuildPlan(Value):
    """How the component's image is made.

    `dockerfile`: `file` and `context` are relative to the repository. `runtime`: no Dockerfile, the
    buildpacks' conventions for `runtime` (nodejs, python) decide. `image`: nothing is built.
    """

    kind: Literal["dockerfile", "runtime", "image"] = "dockerfile"
    runtime: str = ""
    file: str = "Dockerfile"
    context: str = "."
    arguments: dict[str, str] = {}
    environment: dict[str, str] = {}
    image: str = ""
    timeout_seconds: int = 1800


class Component(Value):
    """A declared component with defaults filled in.

    `api_version` and `uid`/`generation` say which object declares it, for status, events and owners.
    `workload` is what the manifest says; a `workload.yaml` in the source or a Workload object overrides it.
    """

    key: ComponentKey
    api_version: str = "openchoreo.dev/v1alpha1"
    uid: str = ""
    generation: int = 0
    project: str = "default"
    source: SourceLocation | None = None
    build: BuildPlan = BuildPlan()
    build_plane: str = "default"
    workload: Workload = Workload()
    auto_build: bool = True
    auto_deploy: bool = True
