"""Who subscribes, kept in memory: most installations have nobody, and then telling costs nothing more."""

import time
from collections.abc import Iterable

from activities.declarations import TOWPATH
from activities.informer import Informer, Object, Watching
from model.cloudevent import CloudEvent
from model.failure import InfrastructureFailure, UserFailure
from model.resources.declared import read
from model.resources.subscription import Subscription as Declared
from model.subscription import Subscription, SubscriptionKey

PATIENCE_SECONDS = 30.0


class Subscribers:
    """Follows the Subscriptions of all namespaces."""

    def __init__(self, server: Watching) -> None:
        self._informer = Informer(server, TOWPATH, "Subscription")
        self._began = time.monotonic()

    async def run(self) -> None:
        """Follow the API server for ever."""
        self._began = time.monotonic()
        await self._informer.run()

    def of(self, events: Iterable[CloudEvent]) -> dict[SubscriptionKey, tuple[CloudEvent, ...]]:
        """The events that each subscriber wants; those who want none are left out.

        Where they cannot be read at all (no permission, or the kind is not installed), which the informer says
        loudly, nobody is told anything: that must not keep people from being told.

        Raises:
            InfrastructureFailure: `SubscriptionsUnread`: nothing has been read yet, so nobody can be left out.
        """
        if not self._informer.synced.is_set():
            if time.monotonic() - self._began > PATIENCE_SECONDS:
                return {}
            raise InfrastructureFailure("SubscriptionsUnread", "The Subscriptions are still being read.")
        wanted: dict[SubscriptionKey, tuple[CloudEvent, ...]] = {}
        for obj in self._informer.objects.values():
            try:
                subscription = declared(obj)
            except UserFailure:
                # The API server checks them; one of a later version may still be odd. Its status tells.
                continue
            if chosen := tuple(event for event in events if subscription.wants(event)):
                wanted[subscription.key] = chosen
        return wanted


def declared(obj: Object) -> Subscription:
    """The subscriber that an object declares.

    Raises:
        UserFailure: `InvalidManifest`.
    """
    made = read(Declared, obj)
    spec, proof = made.spec, made.spec.authentication
    return Subscription(
        key=SubscriptionKey(namespace=made.metadata.namespace, name=made.metadata.name),
        sink=spec.sink,
        types=tuple(spec.types),
        projects=tuple(spec.projects),
        components=tuple(spec.components),
        secret=proof.secret_ref.name if proof else "",
        secret_key=proof.secret_ref.key if proof else "",
        authentication=proof.type if proof else "hmac",
    )
