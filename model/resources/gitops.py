"""PromotionPolicy's `spec.gitops`: the chosen release is written to Git, and a controller applies it."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from model.duration import Duration
from model.resources.declared import Address, Branch, Label, ObjectName, StrictBlock
from model.resources.repository import SecretName

# Stricter than Git: no spaces, nothing hidden at the front, no way out, and nothing of Git's own.
FILE = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*$"
KEY = r"^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63}){0,9}$"


def _checked(*rules: tuple[str, str]) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def _inside(path: str) -> str:
    if any(part in ("..", ".", ".git") for part in path.split("/")):
        raise ValueError("a path may not leave the repository, nor lead into .git")
    return path


FilePath = Annotated[
    str,
    Field(
        max_length=512,
        pattern=FILE,
        json_schema_extra=_checked(
            (
                r"!self.matches('(^|/)([.]{1,2}|[.]git)(/|$)')",
                "a path may not leave the repository, nor lead into .git",
            )
        ),
    ),
    AfterValidator(_inside),
]


class GitOpsRepository(StrictBlock):
    """Where it is written. `secretRef` names a Secret with `username` and `password` beside the component."""

    url: Address
    branch: Branch | None = None
    secret_ref: SecretName | None = None


class ControllerReference(StrictBlock):
    """A Flux Kustomization or an Argo CD Application; in the policy's namespace unless it says another."""

    kind: Literal["Kustomization", "Application"] = "Kustomization"
    name: ObjectName
    namespace: Label | None = None


class WorkloadReference(StrictBlock):
    """The Deployment, and the Service of the same name, that the repository makes."""

    namespace: Label | None = None
    name: Label | None = None


class GitOpsRules(BaseModel):
    """What is written, where, and who applies it. See `model.gitops_policy.GitOps`."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra=_checked(
            ("self.write != 'kustomizeImage' || has(self.image)", "kustomizeImage needs image"),
            ("self.write != 'helmValue' || has(self.key)", "helmValue needs key"),
        ),
    )

    repository: GitOpsRepository
    path: FilePath
    mode: Literal["commit", "pullRequest"] | None = None
    write: Literal["releaseBinding", "kustomizeImage", "helmValue"]
    image: (
        Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]*$")] | None
    ) = None
    key: Annotated[str, Field(max_length=320, pattern=KEY)] | None = None
    content: Literal["digest", "reference"] | None = None
    controller: ControllerReference
    workload: WorkloadReference | None = None
    timeout: Duration | None = None
    merge_within: Duration | None = None
