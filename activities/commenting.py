"""Comments on change requests: who writes them, what they are about, and what is answered."""

import asyncio
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.apiserver import ApiServer
from activities.declarations import Declarations
from activities.heartbeat import beating
from activities.hosts import Hosts
from activities.repositories import Repositories
from activities.trusting import permission_of, rules_of
from model import ids
from model.comment import Comment
from model.comment_story import Commenter, Concerned, Reply, Surroundings, commenter
from model.component import Component
from model.failure import InfrastructureFailure
from model.hosting import HostedComment
from model.preview import PreviewState
from model.repository import normalise
from model.request_report import Reported

_RPC_TIMEOUT = timedelta(seconds=8)


class Commenting:
    """Reads Repositories and components, asks providers and previews.

    Args:
        server: the control plane's API server.
        hosts: opens a repository's provider.
        client: asks previews.
    """

    def __init__(self, server: ApiServer, hosts: Hosts, client: Client) -> None:
        self._repositories = Repositories(server)
        self._declarations = Declarations(server)
        self._hosts = hosts
        self._client = client

    @activity.defn(name="comments.look")
    async def look(self, comment: Comment) -> Surroundings:
        """Who writes, as each namespace's Repository and its provider know them, and what it is about.

        Raises:
            NotFound: `TokenMissing`.
            UserFailure: a Repository cannot be read, or what the provider raises.
            InfrastructureFailure: the provider or Temporal cannot be asked.
        """
        every = await self._declarations.all()
        about = [each for each in every if each.source and normalise(each.source.url) == comment.repository]
        namespaces = sorted({each.key.namespace for each in about})
        async with beating():
            people, concerned = await asyncio.gather(
                asyncio.gather(*(self._person(comment, namespace) for namespace in namespaces)),
                asyncio.gather(*(self._concerned(comment, component) for component in about)),
            )
        return Surroundings(people=dict(zip(namespaces, people, strict=True)), concerned=tuple(concerned))

    @activity.defn(name="comments.reply")
    async def reply(self, reply: Reply) -> Reported:
        """Answer under the change request; said twice it is one answer. Where no provider can be told, nobody is.

        Raises:
            NotFound, UserFailure, InfrastructureFailure: what the provider raises.
        """
        repository = await self._repositories.of(reply.namespace, reply.comment.repository)
        if repository is None or self._hosts.place(repository) is None:
            return Reported(skipped="No Repository with an api names this address.")
        async with beating(), self._hosts.open(repository) as provider:
            written = await provider.comment(
                HostedComment(change=reply.comment.change, body=reply.body, marker=reply.marker)
            )
        return Reported(comment=int(written) if written.isdigit() else 0)

    async def _person(self, comment: Comment, namespace: str) -> Commenter:
        repositories = await self._repositories.every(namespace, comment.repository)
        permission = await permission_of(self._hosts, repositories, comment.actor.name)
        return commenter(comment, rules_of(repositories), permission)

    async def _concerned(self, comment: Comment, component: Component) -> Concerned:
        known = Concerned(component=component.key, project=component.project)
        workflow = ids.preview(component.key, comment.change)
        handle = self._client.get_workflow_handle(workflow)
        try:
            state = await handle.query("state", result_type=PreviewState, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowQueryFailedError as error:
            raise InfrastructureFailure("PreviewSilent", f"{workflow} cannot answer: {error.message}") from error
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return known
            raise InfrastructureFailure("TemporalUnavailable", f"{workflow} could not be asked.") from error
        if state.repository != comment.repository:
            # Of the same number, made by hand for something else.
            return known
        return known.model_copy(
            update={
                "preview": state.ending is None,
                "commit": state.wanted.id if state.wanted is not None else "",
                "branch": state.branch if not state.untrusted else "",
                "author": state.author,
            }
        )
