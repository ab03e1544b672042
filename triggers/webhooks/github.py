"""GitHub (and GitHub Enterprise): https://docs.github.com/webhooks/webhook-events-and-payloads"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from model.push import Event, Ignored, Ping
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.document import Document
from triggers.webhooks.moved import moved

_EVENT = re.compile(r"[a-z_]{1,64}")
_DELIVERY = re.compile(r"[A-Za-z0-9-]{1,64}")


class GitHub:
    """Pushes of branches are taken, everything else is answered and ignored."""

    name = "github"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body; the SHA-1 header is not looked at."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """JSON as it is, or the `payload` field of a form: the form is what GitHub's own page preselects."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            return Document.read(body)
        try:
            fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
            return Document.read(fields["payload"][0].encode())
        except (ValueError, KeyError):
            raise Problem(400, "MalformedPayload", "The form lacks a readable field `payload`.") from None

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address first, then the ssh one."""
        found = (document.find("repository", name) for name in ("clone_url", "ssh_url"))
        return tuple(address for address in found if isinstance(address, str))

    def parse(self, headers: Mapping[str, str], document: Document) -> Event:
        """`push` on a branch is a Push, `ping` a Ping."""
        event = headers.get("x-github-event", "")
        if not _EVENT.fullmatch(event):
            raise Problem(400, "EventMissing", "Header X-GitHub-Event is missing or is no event's name.")
        delivery = headers.get("x-github-delivery", "")
        if not _DELIVERY.fullmatch(delivery):
            raise Problem(400, "DeliveryMissing", "Header X-GitHub-Delivery is missing or is no delivery id.")
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
            url=document.text("repository", "clone_url"),
            ref=document.text("ref"),
            before=document.text("before"),
            after=document.text("after"),
            forced=document.flag("forced"),
            pusher=document.optional_text("pusher", "name"),
            email=document.optional_text("pusher", "email"),
        )
