"""Harbor: https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/

What is set as "Auth Header" of the webhook comes as Authorization. In Harbor's own format ("Default") an event
tells of one or several artifacts with their digests; for its other format, "CloudEvents", there is
`/webhooks/cloudevents`.
"""

from collections.abc import Mapping

from model.event import Event
from model.push import Ignored
from triggers.webhooks.document import Document
from triggers.webhooks.registry import token
from triggers.webhooks.registry.pushed import occasion, pushed

PUSHED = "PUSH_ARTIFACT"


class Harbor:
    """`PUSH_ARTIFACT` is an ImagePush for every tag."""

    name = "registry/harbor"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """The webhook's Auth Header."""
        token.check(headers, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:  # noqa: ARG002  (the Protocol's)
        """No Git repository is spoken of."""
        return ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:  # noqa: ARG002
        """One event for every resource."""
        kind = document.text("type")
        at = str(document.find("occur_at"))[:32]
        if kind != PUSHED:
            shown = "".join(ch for ch in kind[:40] if ch.isprintable())
            message = f"Event {shown} of Harbor starts nothing; only {PUSHED} does."
            return (Ignored(provider=self.name, reason="EventNotUsed", message=message),)
        return resources(self.name, "", at, document, "event_data", document.optional_text("operator"))


def resources(
    provider: str, delivery: str, at: str, document: Document, place: str, operator: str
) -> tuple[Event, ...]:
    """The artifacts that Harbor tells of below `place`, in either of its formats."""
    told: list[Event] = []
    for each in document.documents(place, "resources"):
        tag, digest = each.optional_text("tag", limit=128), each.optional_text("digest", limit=80)
        url = each.text("resource_url")
        # `host/project/name:tag`, or `host/project/name@digest`.
        name = url.partition("@")[0] if "@" in url else url.removesuffix(f":{tag}")
        identity = delivery or occasion(name, tag, digest, at)
        told.append(
            pushed(provider, identity, name, "" if tag.startswith("sha256:") else tag, digest, "", operator)
        )
    return tuple(told) or (Ignored(provider=provider, reason="NoEvents", message="It tells of no artifact."),)
