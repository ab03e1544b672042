"""Having providers send again what their logs say never reached us: comments and change requests leave no trace in
a repository's refs."""

import time
from typing import Protocol

import structlog
from temporalio import activity

from activities.hosts import Hosts
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.hosting import FailedDelivery
from model.registration import hook_address
from model.resources.repository import Repository
from model.sweep import Redelivered, SweepRequest

LOOK_BACK_SECONDS = 6 * 3600.0
"""How old a delivery may be: one that is refused every time is not repeated for ever."""
AT_ONCE = 20
_POINTLESS = frozenset({400, 413, 415, 422})
"""What was refused for what it says will be again."""
_WITHOUT = frozenset({"NoProviderApi", "NotOffered"})

log = structlog.get_logger(__name__)


class Declared(Protocol):
    """The part of `activities.repositories.Repositories` that is needed here."""

    async def every(self, namespace: str, address: str) -> list[Repository]:
        """The Repository objects that speak of an address."""
        ...


class Redeliveries:
    """Reads providers' delivery logs.

    Args:
        repositories: knows which repositories are declared.
        hosts: opens providers.
        address: this server's, as providers reach it; empty: nobody knows, and no log is read.
    """

    def __init__(self, repositories: Declared, hosts: Hosts, address: str) -> None:
        self._repositories = repositories
        self._hosts = hosts
        self._address = address

    @activity.defn(name="sweeps.redeliver")
    async def redeliver(self, request: SweepRequest) -> Redelivered:
        """Ask for every delivery of the last hours that has failed. A provider without a log, or one that does not
        let us read it, is said and no failure: refs are compared all the same.

        Raises:
            InfrastructureFailure: `ProviderUnavailable`, or the API server cannot be reached.
        """
        if not self._address:
            return Redelivered()
        for repository in await self._repositories.every("", request.repository):
            if repository.spec.api is None:
                continue
            try:
                return await self._of(repository)
            except InfrastructureFailure:
                raise
            except (NotFound, UserFailure) as failure:
                if failure.reason not in _WITHOUT:
                    return _unread(repository, failure)
        return Redelivered()

    async def _of(self, repository: Repository) -> Redelivered:
        url = hook_address(self._address, repository.spec.provider)
        async with self._hosts.open(repository) as provider:
            since = time.time() - LOOK_BACK_SECONDS
            failed = [each for each in await provider.failed_deliveries(url, since) if _is_worth_it(each)]
            for each in failed[:AT_ONCE]:
                await provider.redeliver(each)
                log.info("sent again", repository=repository.spec.url, delivery=each.delivery, status=each.status)
        return Redelivered(deliveries=tuple(each.delivery or each.id for each in failed[:AT_ONCE]))


def _is_worth_it(delivery: FailedDelivery) -> bool:
    return delivery.status not in _POINTLESS


def _unread(repository: Repository, failure: Failure) -> Redelivered:
    log.warning("delivery log not read", name=repository.metadata.name, reason=failure.reason)
    return Redelivered(reason=failure.reason, message=failure.message)
