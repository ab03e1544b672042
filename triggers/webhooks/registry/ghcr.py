"""GitHub's container registry: the `package` and `registry_package` events of a repository or an organisation.

https://docs.github.com/webhooks/webhook-events-and-payloads#registry_package, signed as all of GitHub's are.
"""

from collections.abc import Mapping

from model.event import Event
from model.push import Ping
from triggers.webhooks import signature
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.registry.pushed import pushed

HOST = "ghcr.io"
_ACTIONS = frozenset({"published", "updated"})


class Ghcr:
    """A published container package with a tag is an ImagePush."""

    name = "registry/ghcr"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:  # noqa: ARG002  (the Protocol's)
        """No Git repository is meant, though one is named."""
        return ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """`package` and `registry_package` tell of one version each."""
        envelope = Envelope.read(self.name, headers, "X-GitHub-Event", "X-GitHub-Delivery")
        if envelope.event == "ping":
            return (Ping(provider=self.name, delivery=envelope.delivery),)
        if envelope.event not in ("package", "registry_package"):
            return (envelope.not_used("package", "registry_package"),)
        action, place = document.optional_text("action", limit=40), envelope.event
        if action not in _ACTIONS:
            return (envelope.action_not_used(action),)
        if document.optional_text(place, "package_type").lower() not in ("container", "docker"):
            return (envelope.ignored("NotAnImage", "Only container packages start something."),)
        owner = document.optional_text(place, "namespace") or document.text(place, "owner", "login")
        name = document.text(place, "name")
        # Names of accounts may have capitals, names of images may not: GHCR writes them small.
        repository = f"{HOST}/{owner.partition('/')[0]}/{name}".lower()
        tag = ("package_version", "container_metadata", "tag")
        return (
            pushed(
                self.name,
                envelope.delivery,
                repository,
                document.optional_text(place, *tag, "name", limit=128),
                document.optional_text(place, *tag, "digest", limit=80),
                "",
                document.optional_text("sender", "login"),
            ),
        )
