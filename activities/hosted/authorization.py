"""As whom a provider is spoken to."""

import base64
from dataclasses import dataclass, field
from typing import Protocol


class Authorization(Protocol):
    """Gives the header that goes with every request."""

    @property
    def source(self) -> str:
        """Where the credentials lie, for messages: `Secret default/github`."""
        ...

    async def header(self) -> str:
        """The value of `Authorization`."""
        ...

    def refused(self) -> bool:
        """The provider has just refused it. True when another one can be had, so that it is worth trying again."""
        ...

    def hide(self, text: str) -> str:
        """The text without any of the secrets, whoever sent them back."""
        ...


@dataclass(frozen=True)
class Static:
    """A header that stays the same: a token with its scheme."""

    value: str = field(repr=False)
    secret: str = field(repr=False)
    source: str

    @classmethod
    def token(cls, scheme: str, token: str, source: str) -> "Static":
        """`Bearer …`, `token …`."""
        return cls(f"{scheme} {token}", token, source)

    @classmethod
    def basic(cls, user: str, password: str, source: str) -> "Static":
        """HTTP Basic (RFC 7617)."""
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(f"Basic {pair}", password, source)

    async def header(self) -> str:
        """As the Protocol says."""
        return self.value

    def refused(self) -> bool:
        """There is no other."""
        return False

    def hide(self, text: str) -> str:
        """As the Protocol says."""
        return text.replace(self.value.partition(" ")[2], "***").replace(self.secret, "***")
