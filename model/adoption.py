"""One build for a branch and the request to take it in: what a preview takes over instead of building it again."""

from model.component import Component
from model.release import Release
from model.value import Value


class AdoptionQuestion(Value):
    """Ask for the branch's own build of a commit. `branch` of `repository` is where the request's commit lies."""

    component: Component
    commit: str
    branch: str
    repository: str


class Adopted(Value):
    """The release that was built, where it was, and the reference of the build's log; no release: build it."""

    release: Release | None = None
    workflow: str = ""
    log: str = ""


def makes_same(built: Component, wanted: Component) -> bool:
    """Whether a build of one gives what a build of the other would: the same commit is understood."""
    return (built.build, built.workload, _folder(built)) == (wanted.build, wanted.workload, _folder(wanted))


def _folder(component: Component) -> str:
    return component.source.app_path.strip("/") if component.source is not None else ""
