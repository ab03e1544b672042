"""Whose changes may be built at once: what Repositories and providers say of an author."""

import asyncio

from temporalio import activity

from activities.apiserver import ApiServer
from activities.hosts import Hosts
from activities.repositories import Repositories
from model.change_request import ChangeRequest
from model.failure import UserFailure
from model.hosting import Permission
from model.resources.repository import Repository
from model.trust import Trust, TrustRules, judge, merged, needs_permission
from model.trust_question import TrustAnswer, TrustQuestion


class Trusting:
    """Judges authors.

    Args:
        server: the control plane's API server, for Repository objects.
        hosts: opens a repository's provider.
    """

    def __init__(self, server: ApiServer, hosts: Hosts) -> None:
        self._repositories = Repositories(server)
        self._hosts = hosts

    @activity.defn(name="trusting.judge")
    async def judge(self, question: TrustQuestion) -> TrustAnswer:
        """Whether the change may be built at once, for each namespace.

        The provider is asked only where its answer counts. What it cannot answer is no permission: this is tried
        again, and then fails.

        Raises:
            NotFound: `TokenMissing`.
            UserFailure: a Repository cannot be read, or what the provider raises.
            InfrastructureFailure: the provider cannot be reached.
        """
        answers = await asyncio.gather(*(self._judge(question.change, name) for name in question.namespaces))
        return TrustAnswer(by_namespace=dict(zip(question.namespaces, answers, strict=True)))

    async def _judge(self, change: ChangeRequest, namespace: str) -> Trust:
        repositories = await self._repositories.every(namespace, change.repository)
        rules = rules_of(repositories)
        permission: Permission | None = None
        if needs_permission(change, rules):
            permission = await permission_of(self._hosts, repositories, change.author)
        return judge(change, rules, permission)


def rules_of(repositories: list[Repository]) -> TrustRules:
    """What they say of people, taken together."""
    stated = (each.spec.pull_requests for each in repositories)
    return merged([each.rules() for each in stated if each is not None])


async def permission_of(hosts: Hosts, repositories: list[Repository], login: str) -> Permission | None:
    """What the provider lets somebody do; None when there is none to be asked, or none that tells.

    Raises:
        NotFound, UserFailure, InfrastructureFailure: as `activities.hosting.Hosting`.
    """
    for repository in repositories:
        if hosts.place(repository) is not None:
            async with hosts.open(repository) as provider:
                try:
                    return await provider.permission(login)
                except UserFailure as failure:
                    if failure.reason != "NotOffered":
                        raise
    return None
