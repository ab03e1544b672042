"""Statuses on commits: handed to the entity that keeps their order, and brought to the provider."""

from datetime import timedelta
from urllib.parse import quote

from temporalio import activity
from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.service import RPCError

from activities.apiserver import ApiServer
from activities.declarations import TOWPATH
from activities.heartbeat import beating
from activities.hosting import Hosting
from activities.hosts import Hosts
from model import ids
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.hosting import DeploymentState, HostedDeployment, HostedStatus, StatusState, line
from model.masking import masked
from model.resources.declared import read
from model.resources.repository import Repository
from model.status_note import DETAIL_LIMIT, StatusNote
from model.statuses import Remote, StatusesState
from model.value import Value

_RPC_TIMEOUT = timedelta(seconds=5)
_DEPLOYED: dict[StatusState, DeploymentState] = {
    "pending": "running",
    "success": "success",
    "failure": "failure",
    "error": "failure",
    "cancelled": "cancelled",
}


class StatusSaying(Value):
    """Bring a note to the provider; `remote` is what was made for its context before."""

    note: StatusNote
    remote: Remote = Remote()


class CommitStatuses:
    """Speaks of commits.

    Args:
        client: of Temporal.
        server: the control plane's API server, for Repository objects.
        hosts: opens a repository's provider.
        ui: address of Temporal's Web UI, for links; empty for none.
    """

    def __init__(self, client: Client, server: ApiServer, hosts: Hosts, ui: str = "") -> None:
        self._client = client
        self._server = server
        self._hosts = hosts
        self._ui = ui

    @activity.defn(name="statuses.tell")
    async def tell(self, note: StatusNote) -> None:
        """Put a note to the statuses of its commit, durably; told twice it is one.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        repository = note.told.repository
        attributes = {"TowpathRepository": repository, "TowpathCommit": note.commit, "TowpathStage": "telling"}
        pairs = [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), value) for name, value in attributes.items()
        ]
        try:
            await self._client.start_workflow(
                "Statuses",
                StatusesState(repository=repository, commit=note.commit),
                id=ids.statuses(repository, note.commit),
                task_queue=ids.CONTROL_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="tell",
                start_signal_args=[note],
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=f"Statuses of {note.commit[:12]} of {repository}"[:200],
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            message = f"The commit's statuses could not be told: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error

    @activity.defn(name="statuses.say")
    async def say(self, saying: StatusSaying) -> Remote:
        """Bring a note to the provider, and the deployment that it is about; said twice it is said once.

        Raises:
            NotFound: `NoProviderApi`, the Repository is gone or wants no statuses any more; `TokenMissing`.
            UserFailure, InfrastructureFailure: what the provider answers.
        """
        note, told = saying.note, saying.note.told
        obj = await self._server.get(TOWPATH, "Repository", told.name, told.namespace)
        repository = None if obj is None else read(Repository, obj)
        if repository is None or not repository.spec.statuses.enabled:
            raise NotFound("NoProviderApi", f"Repository {told.namespace}/{told.name} wants no statuses any more.")
        async with beating(), self._hosts.open(repository) as provider:
            link = note.link or self._link(note)
            status = await provider.status(
                HostedStatus(
                    commit=note.commit,
                    context=note.context,
                    state=note.state,
                    title=line(masked(note.title)),
                    description=line(masked(note.title)),
                    detail=masked(note.detail)[:DETAIL_LIMIT],
                    link=link,
                    remote=saying.remote.status,
                )
            )
            deployment = await _deployed(provider, saying, link)
        return Remote(status=status, deployment=deployment)

    def _link(self, note: StatusNote) -> str:
        base = (note.told.link or self._ui).rstrip("/")
        if not base or not note.workflow:
            return ""
        namespace = quote(self._client.namespace, safe="")
        return f"{base}/namespaces/{namespace}/workflows/{quote(note.workflow, safe='')}"


async def _deployed(provider: Hosting, saying: StatusSaying, link: str) -> str:
    """The provider's own list of deployments; where it has none, or the token may not, the status has said it."""
    note, known = saying.note, saying.remote.deployment
    if not note.environment or not note.told.deployments:
        return known
    # Of another deployment into this environment, by the same commit.
    key, _, remote = known.rpartition(" ")
    deployment = HostedDeployment(
        environment=note.environment,
        commit=note.commit,
        key=note.deployment,
        state=_DEPLOYED[note.state],
        description=line(masked(note.title)),
        link=link,
        production=note.production,
        remote=remote if key == note.deployment else "",
    )
    try:
        made = await provider.deployment(deployment)
    except UserFailure as failure:
        if failure.reason not in ("NotOffered", "ProviderRefused", "ProviderNotFound", "ProviderInvalid"):
            raise
        activity.logger.warning("deployment not told: %s: %s", failure.reason, failure.message)
        return known
    return f"{note.deployment} {made}"
