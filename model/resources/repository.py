"""`towpath.dev/v1alpha1` Repository: who may announce its pushes, and with which credentials it is read."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from model.resources.declared import (
    AGE,
    TOWPATH,
    Address,
    Column,
    Declared,
    Kind,
    ObjectName,
    Rule,
    Status,
    StrictBlock,
)
from model.resources.filters import FilterBlock
from model.resources.limits import BuildLimits
from model.resources.provider_api import API_MESSAGE, API_RULE, ProviderApi, SecretKey, Statuses
from model.resources.pull_requests import PullRequests
from model.resources.sweeping import SweepBlock


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


Provider = Literal["github", "gitlab", "bitbucket", "bitbucket-datacenter", "gitea", "forgejo", "azure", "git"]


class RepositorySpec(StrictBlock):
    """`url` in any form that names the repository; `mirrors` are other addresses of the very same one, whose
    webhooks announce the same pushes."""

    url: Address
    mirrors: Annotated[list[Address], Field(max_length=8)] = []
    provider: Provider = "git"
    webhook: Webhook | None = None
    credentials: Credentials | None = None
    api: ProviderApi | None = None
    statuses: Statuses = Statuses()
    pull_requests: PullRequests | None = None
    filters: FilterBlock | None = None
    limits: BuildLimits = BuildLimits()
    sweep: SweepBlock = SweepBlock()


class Repository(Declared):
    """A Git repository that components are built from."""

    declared_as: ClassVar[Kind] = Kind(
        group=TOWPATH,
        kind="Repository",
        plural="repositories",
        short_names=("repo",),
        columns=(Column("URL", ".spec.url"), Column("Provider", ".spec.provider"), AGE),
        rules=(Rule("spec.api", API_RULE, API_MESSAGE),),
    )

    spec: RepositorySpec
    status: Status | None = None
