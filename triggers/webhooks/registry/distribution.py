"""The CNCF distribution registry (`registry:2`, `registry:3`) and those that speak as it does.

https://distribution.github.io/distribution/about/notifications: an envelope of events, each with an id; what is
configured as a header comes with it. Pulls, mounts and layers are announced just as pushes are.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from model.event import Event
from model.push import Ignored
from triggers.webhooks.document import Document
from triggers.webhooks.registry import token
from triggers.webhooks.registry.pushed import occasion, pushed


class Distribution:
    """`push` of a manifest with a tag is an ImagePush."""

    name = "registry/distribution"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """The configured header Authorization."""
        token.check(headers, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:  # noqa: ARG002  (the Protocol's)
        """No Git repository is spoken of."""
        return ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:  # noqa: ARG002
        """All events of the envelope."""
        events = tuple(self._event(event) for event in document.documents("events"))
        return events or (Ignored(provider=self.name, reason="NoEvents", message="There are no events in it."),)

    def _event(self, event: Document) -> Event:
        identity = event.optional_text("id", limit=128)
        path, tag = event.text("target", "repository"), event.optional_text("target", "tag", limit=128)
        digest = event.optional_text("target", "digest", limit=80)
        delivery = identity or occasion(path, tag, digest, event.optional_text("timestamp"))
        action = event.optional_text("action", limit=40)
        if action != "push":
            message = f"Action {action} of a registry starts nothing; only push does."
            return Ignored(provider=self.name, delivery=delivery, reason="ActionNotUsed", message=message)
        # The host under which the pusher knows the registry; else that of the address it gives out.
        host = event.optional_text("request", "host") or _host(event.optional_text("target", "url", limit=1024))
        return pushed(
            self.name,
            delivery,
            f"{host}/{path}",
            tag,
            digest,
            event.optional_text("target", "mediaType"),
            event.optional_text("actor", "name"),
        )


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
