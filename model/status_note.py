"""One thing to be told on a commit."""

from model.hosting import StatusState
from model.lane import Revision
from model.told import Told
from model.value import Value

DETAIL_LIMIT = 8192


class StatusNote(Value):
    """How one context of a commit is by now.

    `order` tells newer from older notes of a context, whatever order they arrive in. `workflow` is the run that
    the status leads to; `link` takes its place where there is one. With `environment` it is about the deployment
    `deployment` (an id) into it.
    """

    told: Told
    commit: str
    context: str
    state: StatusState
    title: str
    detail: str = ""
    link: str = ""
    workflow: str = ""
    order: int = 0
    environment: str = ""
    production: bool = False
    deployment: str = ""

    @property
    def key(self) -> str:
        """What tells this context from those that others speak of, in one entity."""
        return f"{self.told.namespace}/{self.told.name} {self.context}"


_BUILDS: dict[str, StatusState] = {
    "succeeded": "success",
    "failed": "failure",
    "cancelled": "cancelled",
    "superseded": "cancelled",
}
_REVISIONS: dict[str, StatusState] = {
    "healthy": "success",
    "rolled-back": "failure",
    "failed": "failure",
    "untouched": "failure",
    "cancelled": "cancelled",
}


def of_build(phase: str, fault: str = "") -> StatusState:
    """What a build's phase is on a commit. `fault` `infrastructure`: it is nobody's who wrote the change."""
    if phase == "failed" and fault == "infrastructure":
        return "error"
    return _BUILDS.get(phase, "pending")


def of_revision(revision: Revision) -> StatusState:
    """What a lane's revision is on its release's commit. What nobody can tell is no success."""
    return _REVISIONS.get(revision.result, "error")
