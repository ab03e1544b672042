"""A plain Git server whose `post-receive` hook posts here, one request a ref.

Headers: `X-Hub-Signature-256` (HMAC-SHA256 over the body, as GitHub), `X-Towpath-Event: push` or `ping`,
`X-Towpath-Delivery` (a hash of ref, old and new). Body:
`{"repository": {"url"}, "ref", "before", "after", "forced"?, "pusher"?}`.
"""

import re
from collections.abc import Mapping

from model.push import Event, Ignored, Ping
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.document import Document
from triggers.webhooks.moved import moved

_EVENT = re.compile(r"[a-z_-]{1,64}")
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,128}")


class Git:
    """Pushes by our own hook."""

    name = "git"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The clone address."""
        address = document.find("repository", "url")
        return (address,) if isinstance(address, str) else ()

    def parse(self, headers: Mapping[str, str], document: Document) -> Event:
        """`push` on a branch is a Push, `ping` a Ping."""
        event = headers.get("x-towpath-event", "")
        if not _EVENT.fullmatch(event):
            raise Problem(400, "EventMissing", "Header X-Towpath-Event is missing or is no event's name.")
        delivery = headers.get("x-towpath-delivery", "")
        if not _DELIVERY.fullmatch(delivery):
            raise Problem(400, "DeliveryMissing", "Header X-Towpath-Delivery is missing or is no delivery id.")
        if event == "ping":
            return Ping(provider=self.name, delivery=delivery)
        if event != "push":
            return Ignored(
                provider=self.name,
                delivery=delivery,
                reason="EventNotUsed",
                message=f"Event {event} starts nothing; only push does.",
            )
        return moved(
            provider=self.name,
            delivery=delivery,
            url=document.text("repository", "url"),
            ref=document.text("ref"),
            before=document.text("before"),
            after=document.text("after"),
            forced=document.flag("forced"),
            pusher=self._pusher(document),
        )

    def _pusher(self, document: Document) -> str:
        """A text, or an object with a name as GitHub writes it."""
        return document.optional_text("pusher") or document.optional_text("pusher", "name")
