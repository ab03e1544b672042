"""Where a component's code is, and what a push changed in it."""

from model.commit import Commit
from model.filters import Concern
from model.ledger import Handled
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
    """Ask what moved between two commits of a ref. `after` empty means: the ref's present head.

    `leading`: the ref's present head counts, whatever was announced. `handled` is what was handled of the ref
    before: then everything that has changed since is asked for.

    What comes with an `apart` ref is kept apart from the rest, since nobody here answers for it: no other ref's
    commits are ever found among it. `beside` is a ref that `before` may be on, where `ref` does not lead there.
    `concerns`: say by name whom the changed paths touch.
    """

    url: str
    ref: str
    before: str = ""
    after: str = ""
    secret: str = ""
    namespace: str = "default"
    leading: bool = False
    handled: Handled | None = None
    apart: bool = False
    beside: str = ""
    concerns: dict[str, Concern] = {}


class Changes(Value):
    """What Git says about a push.

    `paths` is None when it cannot be known (new branch, lost history): then everything counts as touched.
    Where it was asked whom they concern, `touched` names these (None: everybody), and `paths` are only some.
    `skip` is what in the commit's message asks for no build.
    `head` is the ref's present head; `superseded` says that the commit is an ancestor of a newer head.
    `written`: where all that has changed claims to be our own writing to a GitOps repository, each commit with
    the rollout that it names. `base` is from where on everything was considered (empty: from the beginning);
    `known` says that the ledger's entry holds all of it already, `anew` that the commit comes after it: nobody
    can have built it for a push.
    """

    commit: Commit
    head: str
    superseded: bool = False
    paths: tuple[str, ...] | None = None
    written: dict[str, str] = {}
    base: str = ""
    known: bool = False
    anew: bool = False
    touched: tuple[str, ...] | None = None
    skip: str = ""


def touches(paths: tuple[str, ...] | None, app_path: str) -> bool:
    """Whether a change concerns the folder `app_path`; unknown paths (None) touch everything."""
    if paths is None:
        return True
    folder = app_path.strip("/")
    folder = folder.removeprefix("./")
    if folder in ("", "."):
        return bool(paths)
    return any(path == folder or path.startswith(folder + "/") for path in paths)
