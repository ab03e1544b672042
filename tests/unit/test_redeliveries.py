"""What is asked of a provider's delivery log, and what is not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from activities.hosts import Hosts
from activities.redeliveries import AT_ONCE, Redeliveries
from model.failure import InfrastructureFailure, NotFound, UserFailure
from model.hosting import FailedDelivery
from model.resources.declared import read
from model.resources.repository import Repository
from model.sweep import SweepRequest

ASKED = SweepRequest(repository="git.test/team/app")
SERVER = "https://towpath.test"


def repository(api: bool = True) -> Repository:
    spec: dict[str, Any] = {"url": "https://git.test/team/app.git", "provider": "gitea"}
    if api:
        spec["api"] = {"tokenSecretRef": {"name": "token"}}
    return read(
        Repository,
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": spec,
        },
    )


class Declared:
    def __init__(self, *found: Repository) -> None:
        self._found = list(found)

    async def every(self, _namespace: str, _address: str) -> list[Repository]:
        return self._found


class Provider:
    """A provider with a log, or with something against us."""

    def __init__(self, *failed: FailedDelivery, against: Exception | None = None) -> None:
        self.failed = list(failed)
        self.against = against
        self.asked: list[str] = []
        self.repeated: list[str] = []

    @asynccontextmanager
    async def open(self, _repository: Repository) -> AsyncIterator["Provider"]:
        yield self

    async def failed_deliveries(self, url: str, _since: float) -> list[FailedDelivery]:
        self.asked.append(url)
        if self.against is not None:
            raise self.against
        return self.failed

    async def redeliver(self, delivery: FailedDelivery) -> None:
        self.repeated.append(delivery.id)


def redeliveries(provider: Provider, *found: Repository, address: str = SERVER) -> Redeliveries:
    return Redeliveries(Declared(*found), cast(Hosts, provider), address)


def failed(number: int, status: int = 503) -> FailedDelivery:
    return FailedDelivery(id=str(number), hook="1", delivery=f"d{number}", status=status)


async def test_what_failed_is_asked_for_and_what_was_refused_for_what_it_says_is_not() -> None:
    provider = Provider(failed(1), failed(2, 422), failed(3, 0))
    found = await redeliveries(provider, repository()).redeliver(ASKED)
    assert provider.asked == [f"{SERVER}/webhooks/gitea"]
    assert (provider.repeated, found.deliveries) == (["1", "3"], ("d1", "d3"))


async def test_a_long_log_is_worked_off_in_pieces() -> None:
    provider = Provider(*map(failed, range(AT_ONCE + 5)))
    await redeliveries(provider, repository()).redeliver(ASKED)
    assert provider.repeated == [str(number) for number in range(AT_ONCE)], "the oldest first"


async def test_without_an_api_or_an_address_nobody_is_asked() -> None:
    provider = Provider(failed(1))
    assert (await redeliveries(provider, repository(api=False)).redeliver(ASKED)).deliveries == ()
    assert (await redeliveries(provider, repository(), address="").redeliver(ASKED)).deliveries == ()
    assert provider.asked == []


async def test_that_a_log_cannot_be_read_is_said_and_that_there_is_none_is_not() -> None:
    refused = Provider(against=UserFailure("TokenRefused", "the token in Secret token is refused"))
    assert (await redeliveries(refused, repository()).redeliver(ASKED)).reason == "TokenRefused"
    without = Provider(against=NotFound("NotOffered", "there is no log"))
    assert (await redeliveries(without, repository()).redeliver(ASKED)).reason == ""


async def test_a_provider_that_is_away_is_tried_again() -> None:
    away = Provider(against=InfrastructureFailure("ProviderUnavailable", "it is away"))
    with pytest.raises(InfrastructureFailure):
        await redeliveries(away, repository()).redeliver(ASKED)
