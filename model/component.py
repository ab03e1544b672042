"""A component as the engine works with it, whichever API group it was declared in."""

from collections.abc import Iterable
from typing import Literal

from model.filters import Concern, Filters
from model.key import ComponentKey
from model.source import SourceLocation
from model.told import Told
from model.value import Value
from model.workload import Workload


class BuildPlan(Value):
    """How the component's image is made.

    `dockerfile`: `file` and `context` are relative to the repository. `runtime`: no Dockerfile, the
    buildpacks' conventions for `runtime` (nodejs, python) decide. `image`: nothing is built, `image` is what the
    manifest names, `tags` which of its tags are followed (see `model.image_rule`; empty: the named one),
    `platform` what it must be made for (`os/architecture`; empty: what the build plane's machines are, `any`:
    whatever), and `pull_secret` a Secret in the data plane with which pods pull it.
    """

    kind: Literal["dockerfile", "runtime", "image"] = "dockerfile"
    runtime: str = ""
    file: str = "Dockerfile"
    context: str = "."
    arguments: dict[str, str] = {}
    environment: dict[str, str] = {}
    image: str = ""
    tags: str = ""
    platform: str = ""
    pull_secret: str = ""
    timeout_seconds: int = 1800


class Component(Value):
    """A declared component with defaults filled in.

    `api_version` and `uid`/`generation` say which object declares it, for status, events and owners.
    `workload` is what the manifest says; a `workload.yaml` in the source or a Workload object overrides it.
    `told` is who hears of its commits, None where nobody does.
    `priority` is how urgent its builds are where that is stated (see `model.priority`), `repository_builds` how
    many of its repository's builds may run at once (0: as many as there is room for). `filters` say which pushes
    build it, `schedules` when it is built without one (see `model.timed_build`).
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
    told: Told | None = None
    priority: str = ""
    repository_builds: int = 0
    filters: Filters = Filters()
    schedules: tuple[str, ...] = ()

    @property
    def concern(self) -> Concern:
        """What of a changed tree touches it."""
        return Concern(folder=self.source.app_path if self.source else ".", paths=self.filters.paths)


def by_access(components: Iterable[Component]) -> list[list[Component]]:
    """Components in groups that read their repository as the same: by its address and their credentials.

    Those without credentials come last: somebody else's may open what they cannot see.
    """
    groups: dict[tuple[str, str, str], list[Component]] = {}
    for component in components:
        source = component.source
        secret = source.secret if source else ""
        namespace = component.key.namespace if secret else ""
        groups.setdefault((namespace, secret, source.url if source else ""), []).append(component)
    return sorted(groups.values(), key=lambda group: not (group[0].source and group[0].source.secret))
