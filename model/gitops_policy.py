"""The rules of a step whose environment is owned by GitOps."""

from typing import Literal

from pydantic import Field

from model.value import Value


class Controller(Value):
    """What applies the repository: a Flux Kustomization, or an Argo CD Application."""

    kind: Literal["Kustomization", "Application"] = "Kustomization"
    name: str
    namespace: str


class GitOps(Value):
    """Where the chosen release is written, and who applies it.

    `write` says what the file is: `kustomizeImage` sets the digest of the image named `image`, `helmValue`
    the value at `key` to the digest or the whole reference (`content`), `releaseBinding` the binding's
    releaseName, and then the engine itself applies the release once the binding is there.

    `pullRequest` writes to a branch of its own and waits `merge_seconds` for a person to merge it. After
    `wait_seconds` a controller that has not applied the commit leaves it inconclusive.

    `workload_namespace` (empty: the environment's own) and `workload_name` (empty: as the engine would call
    it) say which Deployment and Service the repository makes.
    """

    url: str
    branch: str = "main"
    path: str
    secret: str = ""
    mode: Literal["commit", "pullRequest"] = "commit"
    write: Literal["releaseBinding", "kustomizeImage", "helmValue"]
    image: str = ""
    key: tuple[str, ...] = ()
    content: Literal["digest", "reference"] = "digest"
    controller: Controller
    workload_namespace: str = ""
    workload_name: str = ""
    wait_seconds: float = Field(default=300, gt=0, le=3600)
    merge_seconds: float = Field(default=7 * 86_400, gt=0, le=30 * 86_400)

    @property
    def owns_workload(self) -> bool:
        """Whether the controller makes the Deployment; else it only says which release is wanted."""
        return self.write != "releaseBinding"
