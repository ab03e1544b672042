"""Change requests at their provider: what is said on them about previews."""

from typing import Protocol

import structlog
from temporalio import activity

from activities.apiserver import ApiServer
from activities.declarations import TOWPATH
from activities.github import GitHub
from activities.heartbeat import beating
from activities.secrets import Secrets
from model.failure import NotFound, UserFailure
from model.repository import normalise
from model.request_report import Report, Reported
from model.resources.declared import read
from model.resources.repository import Repository

log = structlog.get_logger(__name__)


class Provider(Protocol):
    """A place where change requests are discussed."""

    async def report(self, report: Report) -> int:
        """Set the commit's status and write the one comment, or update it. Returns the comment's id, 0 where
        the change is no request there.

        Raises:
            UserFailure: the provider refuses it: token, permission, an unknown repository or commit.
            InfrastructureFailure: it cannot be reached, or asks to wait (`retry_after`).
        """
        ...


class Requests:
    """Finds the provider of a repository, and tells it.

    Args:
        server: the control plane's API server, for Repository objects.
        secrets: reads tokens; they never leave this process but for the provider's own address.
    """

    def __init__(self, server: ApiServer, secrets: Secrets) -> None:
        self._server = server
        self._secrets = secrets

    @activity.defn(name="requests.report")
    async def report(self, report: Report) -> Reported:
        """Say on the request how its preview is; said twice it is still one comment.

        Where no Repository in the component's namespace has an `api`, nothing is said, which is no failure.

        Raises:
            NotFound: `TokenMissing`, there is no such Secret or key.
            UserFailure, InfrastructureFailure: what the provider raises.
        """
        repository = await self._repository(report)
        if repository is None or repository.spec.api is None:
            return Reported(comment=report.comment, skipped="No Repository with an api names this address.")
        api = repository.spec.api
        base = api.address(report.repository)
        if repository.spec.provider != "github" or not base:
            said = f"Provider {repository.spec.provider} is not spoken to."
            return Reported(comment=report.comment, skipped=said)
        reference = api.token_secret_ref
        token = await self._secrets.read(report.namespace, reference.name, reference.key)
        if not token:
            raise NotFound(
                "TokenMissing",
                f"Repository {repository.metadata.name}: spec.api.tokenSecretRef: there is no key {reference.key} "
                f"in Secret {report.namespace}/{reference.name}.",
            )
        async with beating(), GitHub.connect(base, token, report.repository) as provider:
            return Reported(comment=await _told(provider, report))

    async def _repository(self, report: Report) -> Repository | None:
        """The first by name that has an `api`, or any."""
        found: list[Repository] = []
        for obj in await self._server.list(TOWPATH, "Repository", report.namespace):
            try:
                repository = read(Repository, obj)
                if normalise(repository.spec.url) == report.repository:
                    found.append(repository)
            except UserFailure as failure:
                # Whoever reads components complains about it on the object itself.
                log.warning("repository unusable", name=obj["metadata"]["name"], reason=failure.reason)
        found.sort(key=lambda each: (each.spec.api is None, each.metadata.name))
        return found[0] if found else None


async def _told(provider: Provider, report: Report) -> int:
    return await provider.report(report)
