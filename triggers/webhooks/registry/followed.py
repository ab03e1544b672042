"""Only images that somebody follows start something: registries announce whatever is pushed to them."""

from collections.abc import Mapping
from typing import Protocol

from model.event import Event
from model.image_push import ImagePush
from model.push import Ignored
from triggers.problem import Problem
from triggers.webhooks.document import Document
from triggers.webhooks.provider import Provider


class Images(Protocol):
    """Answers from memory: nothing on the hot path asks the API server."""

    @property
    def ready(self) -> bool:
        """Whether all Workloads have been read once; before that nothing may be called not followed."""
        ...

    def follows_image(self, repository: str) -> bool:
        """Whether a Workload names an image of this repository (`host/path`)."""
        ...


class Followed:
    """A provider whose images are ignored unless somebody follows their repository."""

    def __init__(self, provider: Provider, images: Images) -> None:
        self._provider = provider
        self._images = images
        self.name = provider.name

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """As the provider does."""
        self._provider.authenticate(headers, body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """As the provider does."""
        return self._provider.read(headers, body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """As the provider does."""
        return self._provider.addresses(document)

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """As the provider does. What nobody follows is no error: a registry would send it again and again."""
        return tuple(self._followed(event) for event in self._provider.parse(headers, document))

    def _followed(self, event: Event) -> Event:
        if not isinstance(event, ImagePush):
            return event
        if not self._images.ready:
            raise Problem(503, "NotReady", "The declared images are still being read; send it again.")
        if self._images.follows_image(event.repository):
            return event
        return Ignored(
            provider=event.provider,
            delivery=event.delivery,
            reason="NobodyFollows",
            message=f"No Workload names an image of {event.repository}; it starts nothing.",
        )
