"""Names that go into addresses."""

import hashlib

from model.failure import UserFailure


def numbered(name: str) -> str:
    """A number that goes into an address.

    Raises:
        UserFailure: `NotANumber`.
    """
    if not (name.isascii() and name.isdigit() and len(name) < 20):
        raise UserFailure("NotANumber", "Change requests, comments and webhooks have numbers there.")
    return name


def key_of(context: str, limit: int = 40) -> str:
    """A context as a key of bounded length; a long one keeps its end, which says most, behind a hash of all."""
    if len(context) <= limit:
        return context
    digest = hashlib.sha256(context.encode()).hexdigest()[:12]
    return f"{digest}-{context[-(limit - 13) :]}"
