"""What a provider's file must offer to the receiver."""

from collections.abc import Mapping
from typing import Protocol

from model.event import Event
from triggers.webhooks.document import Document


class Provider(Protocol):
    """One sender's dialect. Headers are looked up in lower case; nothing here has effects."""

    @property
    def name(self) -> str:
        """The last segment of the provider's address, `/webhooks/<name>`."""
        ...

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """Return when one of the secrets vouches for the raw body.

        Raises:
            Problem: 401.
        """
        ...

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """The body's JSON, however it is wrapped.

        Raises:
            Problem: 400 `MalformedPayload`.
        """
        ...

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The addresses under which the sender knows the repository, unchecked; empty when it names none."""
        ...

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """What has happened, at least one thing: a delivery may tell of several refs or images.

        Raises:
            Problem: 400, a field is missing or of the wrong type.
            UserFailure: an address, a ref or a commit that must not reach Git.
        """
        ...
