"""The repositories that somebody declared, as the hot path sees them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class KnownRepository:
    """A repository that a component or a Repository object names.

    `repository` is the normalised address, `url` the declared one: Git is only ever given what was
    declared, never what a sender wrote. `secrets` are its own webhook secrets; None means that the
    platform's count, empty that it has own ones which cannot be read, so that nothing can be verified.
    """

    repository: str
    url: str
    secrets: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"KnownRepository({self.repository!r})"


class Repositories(Protocol):
    """Answers from memory: nothing on the hot path asks the API server."""

    @property
    def ready(self) -> bool:
        """Whether everything declared has been seen once; before that nothing may be called unknown."""
        ...

    @property
    def any_own_secrets(self) -> bool:
        """Whether any repository has webhook secrets of its own."""
        ...

    @property
    def own_secrets(self) -> tuple[str, ...]:
        """All webhook secrets that repositories have of their own."""
        ...

    def find(self, address: str) -> KnownRepository | None:
        """The repository at an address, written in whichever way; None for unknown and unreadable ones."""
        ...
