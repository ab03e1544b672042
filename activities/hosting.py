"""Providers of repositories, as far as Towpath speaks to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from model.hosting import (
    FailedDelivery,
    HookEvent,
    HostedChange,
    HostedComment,
    HostedDeployment,
    HostedHook,
    HostedStatus,
    Permission,
)

EVERYTHING: tuple[HookEvent, ...] = ("push", "change", "comment")


@dataclass(frozen=True)
class HookWish:
    """The webhook that is wanted. Not a model on purpose: `secret` is to be in no history and no log."""

    url: str
    secret: str = field(repr=False)
    events: Sequence[HookEvent] = EVERYTHING


class Hosting(Protocol):
    """One repository at its provider.

    Every method raises:
        UserFailure: `TokenRefused`, `ProviderRefused` (naming the Secret), `NotOffered` (this provider has no such
            thing), `AnswerTooLarge`.
        NotFound: `ProviderNotFound`.
        InfrastructureFailure: `ProviderUnavailable`, it cannot be reached, or asks to wait (`retry_after`).
    """

    async def status(self, status: HostedStatus) -> str:
        """Put a status on a commit, in place of an earlier one of the same context. Returns its id there, empty
        where it has none."""
        ...

    async def comment(self, comment: HostedComment) -> str:
        """Write or update a comment; returns its id."""
        ...

    async def permission(self, login: str) -> Permission:
        """What a person may do in the repository; `none` for strangers."""
        ...

    async def change(self, change: str) -> HostedChange:
        """A change request as it is now."""
        ...

    async def deployment(self, deployment: HostedDeployment) -> str:
        """Say how a deployment is; the same `key` twice is one deployment. Returns its id there."""
        ...

    async def hooks(self) -> list[HostedHook]:
        """The repository's webhooks."""
        ...

    async def create_hook(self, wish: HookWish) -> HostedHook:
        """Make a webhook; whether there is one already is the caller's to look at (`hooks`)."""
        ...

    async def update_hook(self, hook: str, wish: HookWish) -> HostedHook:
        """Give a webhook another secret, address, or events, and switch it on."""
        ...

    async def delete_hook(self, hook: str) -> None:
        """Take a webhook away; one that is gone is no failure."""
        ...

    async def failed_deliveries(self, url: str, since: float) -> list[FailedDelivery]:
        """What the webhooks with this address announced since then (seconds since the epoch) and no attempt
        has brought to us, oldest first."""
        ...

    async def redeliver(self, delivery: FailedDelivery) -> None:
        """Have the provider send it once more, with the same delivery id."""
        ...
