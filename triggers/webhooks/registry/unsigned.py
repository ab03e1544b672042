"""Registries that prove nothing: their address itself is the secret, `/webhooks/registry/<kind>/<secret>`.

Whoever serves the address takes the secret out of it at once (see `triggers.webhooks.registry.routes`), so that no
log, trace or error knows it, and hands it on in a header that nobody outside can set.
"""

from collections.abc import Mapping

from model.event import Event
from model.push import Ignored
from triggers.webhooks import signature
from triggers.webhooks.document import Document
from triggers.webhooks.registry.pushed import occasion, pushed

SECRET = "x-towpath-address-secret"  # noqa: S105  (a header's name)
REQUEST = "x-towpath-request"
_MISSING = "Put the secret at the end of the webhook's address: there is none."
QUAY = "quay.io"


class DockerHub:
    """https://docs.docker.com/docker-hub/repos/manage/webhooks/

    `callback_url` is an address that whoever sends this may choose: it is never called.
    """

    name = "registry/dockerhub"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """The secret in the address."""
        signature.check_text(headers.get(SECRET, "").encode("latin-1", "replace"), secrets, _MISSING)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:  # noqa: ARG002  (the Protocol's)
        """No Git repository is spoken of."""
        return ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:  # noqa: ARG002
        """One tag of one repository; its digest is not told."""
        name, tag = document.text("repository", "repo_name"), document.optional_text("push_data", "tag", limit=128)
        delivery = occasion(name, tag, str(document.find("push_data", "pushed_at"))[:32])
        pusher = document.optional_text("push_data", "pusher")
        return (pushed(self.name, delivery, f"docker.io/{name}", tag, pusher=pusher),)


class Quay(DockerHub):
    """https://docs.quay.io/guides/notifications.html: "Push to Repository", which tells tags and no time, so that
    the same tag pushed twice looks the same: every request counts as another."""

    name = "registry/quay"

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """One event for every tag; their digests are not told."""
        host, slash, path = document.optional_text("docker_url", limit=512).partition("/")
        name = f"{host}/{path}" if slash else f"{QUAY}/{document.text('repository')}"
        told = document.find("updated_tags")
        tags = [tag for tag in (told if isinstance(told, list | dict) else []) if isinstance(tag, str)][:1000]
        request = headers.get(REQUEST, "")
        events: tuple[Event, ...] = tuple(
            pushed(self.name, occasion(name, tag, request), name, tag[:129]) for tag in tags
        )
        return events or (Ignored(provider=self.name, reason="NoTag", message="It tells of no tag."),)
