"""`towpath.dev/v1alpha1` Repository: who may announce its pushes, and with which credentials it is read."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.resources.declared import AGE, TOWPATH, Address, Column, Declared, Kind, ObjectName, Status, StrictBlock
from model.resources.pull_requests import PullRequests

SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class SecretKeyReference(StrictBlock):
    """One key of a Secret in the repository's namespace."""

    name: ObjectName
    key: SecretKey = "secret"


class Webhook(StrictBlock):
    """The secrets that deliveries may be signed with; more than one while they are being rotated."""

    secret_refs: Annotated[list[SecretKeyReference], Field(min_length=1, max_length=5)]


class SecretName(StrictBlock):
    """A Secret in the repository's namespace."""

    name: ObjectName


class Credentials(StrictBlock):
    """A Secret with `username` and `password` (type `kubernetes.io/basic-auth`)."""

    secret_ref: SecretName


class TokenReference(StrictBlock):
    """One key of a Secret in the repository's namespace that holds a token."""

    name: ObjectName
    key: SecretKey = "token"


class ProviderApi(StrictBlock):
    """Where and as whom the provider is told about previews. `url` absent: the provider's own place for
    repositories at that host (GitHub: `https://api.github.com`, elsewhere `https://<host>/api/v3`)."""

    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[A-Za-z0-9\[][^\s@?#]*$")] | None = None
    token_secret_ref: TokenReference

    def address(self, repository: str) -> str:
        """The API's address for a repository (its normalised address)."""
        host = repository.partition("/")[0]
        own = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
        return (self.url or own).rstrip("/")


class RepositorySpec(StrictBlock):
    """`url` in any form that names the repository."""

    url: Address
    provider: Literal["github", "gitlab", "bitbucket", "gitea", "azure", "git"] = "git"
    webhook: Webhook | None = None
    credentials: Credentials | None = None
    api: ProviderApi | None = None
    pull_requests: PullRequests | None = None


class Repository(Declared):
    """A Git repository that components are built from."""

    declared_as: ClassVar[Kind] = Kind(
        group=TOWPATH,
        kind="Repository",
        plural="repositories",
        short_names=("repo",),
        columns=(Column("URL", ".spec.url"), Column("Provider", ".spec.provider"), AGE),
    )

    spec: RepositorySpec
    status: Status | None = None
