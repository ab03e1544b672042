"""Who may use the API: bearer tokens of which only hashes are kept."""

import hashlib
import hmac
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model.actor import Actor
from model.failure import UserFailure
from triggers.problem import Problem

# The role that may only look. Which other roles there are is the promotion policies' business.
VIEWER = "viewer"
TOKEN_LIMIT = 512

log = structlog.get_logger(__name__)


class TokenEntry(BaseModel):
    """One person's token: `sha256` is the hex digest of the token's text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    email: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Tokens:
    """The tokens of a file, a JSON list of `{name, email, roles, sha256}`; read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            UserFailure: `BadTokenFile`, it cannot be read or holds something else.
        """
        self._path = path
        self._stamp = self._stamp_now()
        self._entries = self._read()

    def actor(self, authorization: str) -> Actor:
        """The person behind an Authorization header.

        All entries are compared, each in constant time, so that the time taken tells nothing.

        Raises:
            Problem: 401 `TokenMissing` or `TokenUnknown`.
        """
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        challenge = {"WWW-Authenticate": 'Bearer realm="towpath"'}
        if scheme.lower() != "bearer" or not token:
            detail = "Send `Authorization: Bearer <token>`; TOWPATH_TOKEN holds it on the command line."
            raise Problem(401, "TokenMissing", detail, challenge)
        given = hashlib.sha256(token[:TOKEN_LIMIT].encode("utf-8", "replace")).hexdigest()
        matched: TokenEntry | None = None
        for entry in self._current():
            if hmac.compare_digest(entry.sha256, given) and len(token) <= TOKEN_LIMIT:
                matched = entry
        if matched is None:
            raise Problem(401, "TokenUnknown", "This token is not (or no longer) known here.", challenge)
        return Actor(
            kind="person", name=matched.name, email=matched.email, roles=matched.roles, groups=matched.groups
        )

    def _current(self) -> tuple[TokenEntry, ...]:
        """The entries, read again after the file has changed. A file that got broken leaves the old ones."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._entries = self._read()
            except UserFailure as failure:
                log.error("token file unusable, the tokens read before still count", message=failure.message)
        return self._entries

    def _stamp_now(self) -> tuple[int, int]:
        try:
            stat = self._path.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_size)

    def _read(self) -> tuple[TokenEntry, ...]:
        try:
            return TypeAdapter(tuple[TokenEntry, ...]).validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            # pydantic's own message would quote the file's content.
            what = type(error).__name__
            raise UserFailure(
                "BadTokenFile",
                f"{self._path.name} must be a JSON list of {{name, email, roles, sha256}} ({what}).",
            ) from None


def require_steering(actor: Actor) -> Actor:
    """The actor when it may change things: any role but `viewer` will do, gates ask for more themselves.

    Raises:
        Problem: 403 `RoleMissing`.
    """
    if not set(actor.roles) - {VIEWER}:
        raise Problem(403, "RoleMissing", f"{actor.name} may only look; ask for a token with a role.")
    return actor
