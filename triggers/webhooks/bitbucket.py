"""Bitbucket at one address: Cloud and Data Center sign alike and speak different dialects."""

from collections.abc import Mapping

from model.event import Event
from triggers.webhooks import bitbucket_cloud, bitbucket_datacenter, signature
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope

_HEADER = "X-Hub-Signature"


class Bitbucket:
    """Pushes, deletions, pull requests and what is said on them are taken, everything else is ignored."""

    name = "bitbucket"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body; a hook without a secret sends no signature and is refused."""
        signature.check(headers.get(_HEADER.lower(), ""), body, secrets, name=_HEADER)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The addresses that either of the two names."""
        return (*bitbucket_datacenter.addresses(document), *bitbucket_cloud.addresses(document))

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """Data Center has its own id for a delivery, and event names that Cloud has not."""
        envelope = Envelope.read(self.name, headers, "X-Event-Key", "X-Request-UUID", "X-Request-Id")
        if envelope.event == "diagnostics:ping" or bitbucket_datacenter.speaks(envelope.event):
            return bitbucket_datacenter.parse(envelope, document)
        return bitbucket_cloud.parse(envelope, document)
