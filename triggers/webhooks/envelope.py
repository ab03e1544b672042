"""What a sender's headers say: which event it is, and the id of its delivery."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from model.push import Ignored
from triggers.problem import Problem

# GitLab's names have spaces, Bitbucket's colons; Bitbucket Data Center's ids are no UUIDs.
_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9 ._:-]{0,63}")
_DELIVERY = re.compile(r"[A-Za-z0-9@*._:-]{1,128}")


class Envelope(NamedTuple):
    """The event's name and the delivery's id, of `provider`."""

    provider: str
    event: str
    delivery: str

    @classmethod
    def read(
        cls, provider: str, headers: Mapping[str, str], event_header: str, *delivery_headers: str
    ) -> "Envelope":
        """Take both out of the headers, whose names are written as people know them. The first of
        `delivery_headers` that is there counts.

        Raises:
            Problem: 400 `EventMissing` or `DeliveryMissing`.
        """
        event = headers.get(event_header.lower(), "")
        if not _EVENT.fullmatch(event):
            raise Problem(400, "EventMissing", f"Header {event_header} is missing or is no event's name.")
        found = (headers.get(name.lower(), "") for name in delivery_headers)
        delivery = next((each for each in found if each), "")
        if not _DELIVERY.fullmatch(delivery):
            detail = f"Header {delivery_headers[0]} is missing or is no delivery id."
            raise Problem(400, "DeliveryMissing", detail)
        return cls(provider, event, delivery)

    @classmethod
    def told(cls, provider: str, event: str, delivery: str) -> "Envelope":
        """Take both as a body tells them.

        Raises:
            Problem: 400 `EventMissing` or `DeliveryMissing`.
        """
        if not _EVENT.fullmatch(event):
            raise Problem(400, "EventMissing", "The event's name is missing or is none.")
        if not _DELIVERY.fullmatch(delivery):
            raise Problem(400, "DeliveryMissing", "The delivery's id is missing or is none.")
        return cls(provider, event, delivery)

    def ignored(self, reason: str, message: str) -> Ignored:
        """The event starts nothing, and why."""
        return Ignored(provider=self.provider, delivery=self.delivery, reason=reason, message=message)

    def action_not_used(self, action: str) -> Ignored:
        """What was done is nothing that starts something."""
        shown = "".join(ch for ch in action[:40] if ch.isprintable())
        return self.ignored("ActionNotUsed", f"Action {shown} of {self.event} starts nothing.")

    def not_used(self, *used: str) -> Ignored:
        """The event is none of those that start something."""
        return self.ignored(
            "EventNotUsed", f"Event {self.event} starts nothing; only {' and '.join(used)} {_do(used)}."
        )


def _do(used: tuple[str, ...]) -> str:
    return "does" if len(used) == 1 else "do"
