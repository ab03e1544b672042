"""Where a component's code is, and what a push changed in it."""

from model.commit import Commit
from model.value import Value


class SourceLocation(Value):
    """A component's place in a repository: address, branch, folder (`.` for the root), credentials.

    `secret` names a Kubernetes Secret in the component's namespace; never its content.
    """

    url: str
    branch: str = "main"
    app_path: str = "."
    commit: str = ""
    secret: str = ""


class ChangesRequest(Value):
    """Ask what moved between two commits of a ref. `after` empty means: the ref's present head."""

    url: str
    ref: str
    before: str = ""
    after: str = ""
    secret: str = ""
    namespace: str = "default"


class Changes(Value):
    """What Git says about a push.

    `paths` is None when it cannot be known (new branch, lost history): then everything counts as touched.
    `head` is the ref's present head; `superseded` says that the commit is an ancestor of a newer head.
    `written`: where all that has changed claims to be our own writing to a GitOps repository, each commit with
    the rollout that it names.
    """

    commit: Commit
    head: str
    superseded: bool = False
    paths: tuple[str, ...] | None = None
    written: dict[str, str] = {}


def touches(paths: tuple[str, ...] | None, app_path: str) -> bool:
    """Whether a change concerns the folder `app_path`; unknown paths (None) touch everything."""
    if paths is None:
        return True
    folder = app_path.strip("/")
    folder = folder.removeprefix("./")
    if folder in ("", "."):
        return bool(paths)
    return any(path == folder or path.startswith(folder + "/") for path in paths)
