"""What a sender's headers say: which event it is, and the id of its delivery."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from model.push import Ignored
from triggers.problem import Problem

_EVENT = re.compile(r"[a-z_-]{1,64}")
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,128}")


class Envelope(NamedTuple):
    """The event's name and the delivery's id, of `provider`."""

    provider: str
    event: str
    delivery: str

    @classmethod
    def read(
        cls, provider: str, headers: Mapping[str, str], event_header: str, delivery_header: str
    ) -> "Envelope":
        """Take both out of the headers; the headers' names are written as people know them.

        Raises:
            Problem: 400 `EventMissing` or `DeliveryMissing`.
        """
        event = headers.get(event_header.lower(), "")
        if not _EVENT.fullmatch(event):
            raise Problem(400, "EventMissing", f"Header {event_header} is missing or is no event's name.")
        delivery = headers.get(delivery_header.lower(), "")
        if not _DELIVERY.fullmatch(delivery):
            raise Problem(400, "DeliveryMissing", f"Header {delivery_header} is missing or is no delivery id.")
        return cls(provider, event, delivery)

    def ignored(self, reason: str, message: str) -> Ignored:
        """The event starts nothing, and why."""
        return Ignored(provider=self.provider, delivery=self.delivery, reason=reason, message=message)

    def not_used(self, *used: str) -> Ignored:
        """The event is none of those that start something."""
        return self.ignored(
            "EventNotUsed", f"Event {self.event} starts nothing; only {' and '.join(used)} {_do(used)}."
        )


def _do(used: tuple[str, ...]) -> str:
    return "does" if len(used) == 1 else "do"
