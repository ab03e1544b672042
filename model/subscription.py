"""Who wants to be told of what has happened, by CloudEvents."""

from typing import Literal

from model.cloudevent import CloudEvent
from model.value import Value


class SubscriptionKey(Value):
    """Which Subscription."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Subscription(Value):
    """A declared subscriber. `types` are types of events, or beginnings of such that end in `*`; empty means all,
    as do empty `projects` and `components`. With a `secret` deliveries are signed (`hmac`, Standard Webhooks) or
    carry it (`bearer`)."""

    key: SubscriptionKey
    sink: str
    types: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    secret: str = ""
    secret_key: str = ""
    authentication: Literal["hmac", "bearer"] = "hmac"

    def wants(self, event: CloudEvent) -> bool:
        """Whether this event is for the subscriber: only ever of components in its own namespace."""
        if event.namespace != self.key.namespace:
            return False
        return (
            (not self.types or any(_fits(pattern, event.type) for pattern in self.types))
            and (not self.projects or event.project in self.projects)
            and (not self.components or event.subject.partition("/")[2] in self.components)
        )


def _fits(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
