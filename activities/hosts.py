"""Opens the provider of a declared Repository."""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

import httpx

from activities.hosted import azure, bitbucket, bitbucket_datacenter, gitea, github, gitlab
from activities.hosted.app import AppAuthorization, Minted
from activities.hosted.authorization import Authorization, Static
from activities.hosted.azure import Azure
from activities.hosted.bitbucket import Bitbucket
from activities.hosted.bitbucket_datacenter import BitbucketDataCenter
from activities.hosted.caller import Caller
from activities.hosted.gitea import Gitea
from activities.hosted.github import GitHub
from activities.hosted.gitlab import GitLab
from activities.hosting import Hosting
from activities.outbound import Outbound
from model.failure import NotFound, UserFailure
from model.hosting_place import Place, ProviderKind, place
from model.repository import normalise
from model.resources.provider_api import ProviderApi
from model.resources.repository import Repository

_MINTED_LIMIT = 1000


class SecretReader(Protocol):
    """Reads one key of a Kubernetes Secret."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """The text; None when there is no such Secret or key."""
        ...


class Hosts:
    """Where Repositories are hosted. One for the whole process: it keeps Apps' tokens until they end.

    Args:
        secrets: reads tokens; they never leave this process but for the provider's own address.
        outbound: makes the HTTP clients.
    """

    def __init__(self, secrets: SecretReader, outbound: Outbound) -> None:
        self._secrets = secrets
        self._outbound = outbound
        self._minted: dict[str, Minted] = {}

    @staticmethod
    def place(repository: Repository) -> Place | None:
        """Where its provider is spoken to; None when it has no `api`, or a provider without one.

        Raises:
            UserFailure: `NotAtProvider`, `BadRepositoryAddress`.
        """
        api = repository.spec.api
        if api is None or repository.spec.provider == "git":
            return None
        return place(repository.spec.provider, normalise(repository.spec.url), api.url)

    @asynccontextmanager
    async def open(self, repository: Repository) -> AsyncIterator[Hosting]:
        """The repository at its provider, for as long as the block lasts.

        Raises:
            NotFound: `NoProviderApi`, it has no `api` or its provider has none; `TokenMissing`, there is no such
                Secret or key.
            UserFailure: `NotAtProvider`, `BadAddress`.
        """
        name, api, where = repository.metadata.name, repository.spec.api, self.place(repository)
        if api is None or where is None:
            raise NotFound(
                "NoProviderApi",
                f"Repository {name}: provider {repository.spec.provider} is not spoken to without a spec.api"
                + ("." if api is None else ", and has none; set spec.provider."),
            )
        way = _WAYS[where.kind]
        async with self._outbound.client(where.base, way.headers) as http:
            authorization = await self._authorization(http, repository, api, where)
            yield way.make(Caller(http, way.name, authorization, way.needs), where, authorization)

    async def _authorization(
        self, http: httpx.AsyncClient, repository: Repository, api: ProviderApi, where: Place
    ) -> Authorization:
        if api.app is not None:
            app, reference = api.app, api.app.private_key_secret_ref
            key = await self._secret(repository, "spec.api.app.privateKeySecretRef", reference.name, reference.key)
            print_of_key = hashlib.sha256(key.encode()).hexdigest()
            identity = " ".join((where.base, where.quoted, app.id, app.installation, print_of_key))
            if len(self._minted) > _MINTED_LIMIT:
                self._minted.clear()
            kept = self._minted.setdefault(identity, Minted())
            return AppAuthorization(
                http, where.quoted, app.id, key, app.installation, _source(repository, reference.name), kept
            )
        if api.token_secret_ref is None:
            raise UserFailure(
                "NoCredentials",
                f"Repository {repository.metadata.name}: spec.api: give either tokenSecretRef or app.",
            )
        reference_to = api.token_secret_ref
        token = await self._secret(repository, "spec.api.tokenSecretRef", reference_to.name, reference_to.key)
        source = _source(repository, reference_to.name)
        if api.username or where.kind == "azure":
            return Static.basic(api.username, token, source)
        return Static.token("token" if where.kind == "gitea" else "Bearer", token, source)

    async def _secret(self, repository: Repository, field: str, name: str, key: str) -> str:
        namespace = repository.metadata.namespace
        found = await self._secrets.read(namespace, name, key)
        if not found:
            raise NotFound(
                "TokenMissing",
                f"Repository {repository.metadata.name}: {field}: there is no key {key} in Secret "
                f"{namespace}/{name}.",
            )
        return found


def _source(repository: Repository, name: str) -> str:
    return f"Secret {repository.metadata.namespace}/{name}"


def _github(caller: Caller, where: Place, authorization: Authorization) -> Hosting:
    return GitHub(caller, where.quoted, isinstance(authorization, AppAuthorization))


def _gitea(caller: Caller, where: Place, _authorization: Authorization) -> Hosting:
    return Gitea(caller, where.quoted)


def _gitlab(caller: Caller, where: Place, _authorization: Authorization) -> Hosting:
    return GitLab(caller, gitlab.project(where.path))


def _bitbucket(caller: Caller, where: Place, _authorization: Authorization) -> Hosting:
    workspace, _, name = where.quoted.partition("/")
    return Bitbucket(caller, workspace, name)


def _datacenter(caller: Caller, where: Place, _authorization: Authorization) -> Hosting:
    project = bitbucket_datacenter.quoted_project(where.path[0])
    return BitbucketDataCenter(caller, where.base, project, where.quoted.partition("/")[2])


def _azure(caller: Caller, where: Place, _authorization: Authorization) -> Hosting:
    organisation, project, name = where.quoted.split("/")
    return Azure(caller, organisation, project, name)


class _Way(NamedTuple):
    """How one provider is spoken to: its name for people, its adapter, what its tokens need."""

    name: str
    make: Callable[[Caller, Place, Authorization], Hosting]
    needs: str
    headers: Mapping[str, str] = {"Accept": "application/json"}


_WAYS: dict[ProviderKind, _Way] = {
    "github": _Way("GitHub", _github, github.NEEDS, github.HEADERS),
    "gitea": _Way("Gitea", _gitea, gitea.NEEDS),
    "gitlab": _Way("GitLab", _gitlab, gitlab.NEEDS),
    "bitbucket": _Way("Bitbucket", _bitbucket, bitbucket.NEEDS),
    "bitbucket-datacenter": _Way("Bitbucket", _datacenter, bitbucket_datacenter.NEEDS),
    "azure": _Way("Azure DevOps", _azure, azure.NEEDS),
}
