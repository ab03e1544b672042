"""One attempt at building a component at a commit."""

from typing import Literal

from model import ids
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.release import Release
from model.value import Value

BuildPhase = Literal["admitted", "queued", "running", "succeeded", "failed", "cancelled", "superseded"]


class BuildRequest(Value):
    """What the Build workflow is started with. `number` counts attempts at this commit from 1;
    `sequence` orders pushes (see `model.push.Push`), `attempt` counts tries after
    failures of the infrastructure. `preview` is the change that it is built for: then the release is
    neither kept nor promoted, and the component's status does not speak of it. `cause` is that of the push, and
    `priority` how urgent it is where whoever started it has said so. With `untrusted` nobody here answers for the
    code: it is built without secrets, and its image goes where nothing is promoted from. `ref` is where the commit
    is fetched when that is not the branch. For a tag `branch` is its full name, and `version` what that stands
    for."""

    component: Component
    commit: Commit
    branch: str
    sequence: int
    number: int = 1
    attempt: int = 1
    preview: str = ""
    cause: str = ""
    priority: str = ""
    untrusted: bool = False
    ref: str = ""
    version: str = ""

    @property
    def workflow(self) -> str:
        """The id of the Build workflow."""
        if self.preview:
            return ids.preview_build(self.component.key, self.preview, self.commit.id, self.number)
        return ids.build(self.component.key, self.commit.id, self.number)

    @property
    def line(self) -> str:
        """What newer builds supersede older ones on: the branch, or the preview. No branch has a space."""
        return f"preview {self.preview}" if self.preview else self.branch


class Rivals(Value):
    """Unfinished builds of the same component and branch: workflow ids of older ones, and one newer
    (workflow id, empty when there is none), before which this build gives way."""

    older: tuple[str, ...] = ()
    newer: str = ""


class SubmittedBuild(Value):
    """The Argo Workflow of an attempt: enough to find exactly this object again."""

    namespace: str
    name: str
    uid: str
    component: ComponentKey
    image_repository: str


class BuildResult(Value):
    """How the Argo Workflow ended.

    `failure` tells whose fault it was: `user` (the build said no), `infrastructure` (evicted, out of
    memory, node gone: worth another try), or empty. `workload` is the `workload.yaml` found in the source
    (text, at most 64 KiB), `log` the reference at which the kept log can be read, `excerpt` the last lines of it
    where it failed, secrets masked.
    """

    phase: BuildPhase
    reason: str = ""
    message: str = ""
    failure: Literal["", "user", "infrastructure"] = ""
    image: Image | None = None
    workload: str = ""
    log: str = ""
    excerpt: str = ""
    started_at: float = 0
    finished_at: float = 0


class BuildState(Value):
    """What a query of a Build answers. `made` is the whole release of a preview's build, which is kept nowhere;
    `plane` is where it is built."""

    workflow: str
    component: ComponentKey
    commit: Commit
    branch: str
    number: int
    phase: BuildPhase
    reason: str = ""
    message: str = ""
    argo: str = ""
    log: str = ""
    image: str = ""
    release: str = ""
    made: Release | None = None
    plane: str = ""
