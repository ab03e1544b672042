"""A GitHub App's own credentials: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app"""

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import jwt
from jwt.exceptions import PyJWTError

from activities.hosted.authorization import Static
from activities.hosted.caller import Caller
from activities.hosted.reading import number, text
from model.failure import UserFailure

_STATEMENT_SECONDS = 540
_SKEW_SECONDS = 60
# A request that is under way when the token ends would be refused.
_SPARE_SECONDS = 300
_NEEDS = "to be installed on the repository"


@dataclass
class Minted:
    """An installation's token, kept in this process only, and when it ends (seconds since the epoch)."""

    token: str = field(default="", repr=False)
    until: float = 0


class AppAuthorization:
    """Speaks as an installation of the App, with a token that lasts an hour and is fetched when it is needed.

    Args:
        http: speaks to the API's host.
        path: `owner/name`, quoted.
        app: the App's id or client id.
        key: its private key, PEM.
        installation: its number; empty when it is to be found by the repository.
        source: where the key lies, for messages.
        kept: where the token is kept from one use to the next.
    """

    def __init__(
        self, http: httpx.AsyncClient, path: str, app: str, key: str, installation: str, source: str, kept: Minted
    ) -> None:
        self._http = http
        self._path = path
        self._app = app
        self._key = key
        self._installation = installation
        self.source = source
        self._kept = kept

    async def header(self) -> str:
        """The installation's token.

        Raises:
            UserFailure: `PrivateKeyUnusable`; what the provider refuses.
        """
        if self._kept.until - _SPARE_SECONDS < time.time():
            await self._mint()
        return f"Bearer {self._kept.token}"

    def refused(self) -> bool:
        """Suspended, or its permissions have changed: the next one may be taken."""
        had = bool(self._kept.token)
        self._kept.token, self._kept.until = "", 0
        return had

    def hide(self, said: str) -> str:
        """As the Protocol says."""
        return said.replace(self._kept.token, "***") if self._kept.token else said

    async def _mint(self) -> None:
        caller = Caller(self._http, "GitHub", Static.token("Bearer", self._statement(), self.source), _NEEDS)
        installation = self._installation
        if not installation:
            installation = number(await caller.call("GET", f"/repos/{self._path}/installation"), "id")
        # For this one repository, whatever else the App may see.
        wanted: dict[str, Any] = {"repositories": [self._path.partition("/")[2]]}
        found = await caller.call("POST", f"/app/installations/{installation}/access_tokens", wanted)
        self._kept.token = text(found, "token")
        self._kept.until = _seconds(text(found, "expires_at"))

    def _statement(self) -> str:
        now = int(time.time())
        claims = {"iat": now - _SKEW_SECONDS, "exp": now + _STATEMENT_SECONDS, "iss": self._app}
        try:
            return jwt.encode(claims, self._key, "RS256")
        except (PyJWTError, ValueError, TypeError):
            # Without the cause, which may quote the key.
            raise UserFailure(
                "PrivateKeyUnusable",
                f"{self.source} holds no RSA private key in PEM, as GitHub gives for its Apps.",
            ) from None


def _seconds(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0
