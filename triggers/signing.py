"""What the server signs: that a person whose token it has checked may tell a workflow something."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from model.actor import Actor
from model.proofkey import key_id
from model.statement import PROOF, Signed, stated
from triggers.problem import Problem
from triggers.sequence import Clock

M = TypeVar("M", bound=BaseModel)
ALGORITHM = "EdDSA"

_only_signing: ContextVar[bool] = ContextVar("only_signing", default=False)


class NotSent(Exception):
    """Instead of sending an update, here it is, signed; `signed` is what the person asked for."""

    def __init__(self, signed: Signed) -> None:
        super().__init__(signed.workflow)
        self.signed = signed


@contextmanager
def only_signing() -> Iterator[None]:
    """In this block nothing is sent: the first update ends it with `NotSent`, anything else is refused."""
    token = _only_signing.set(True)
    try:
        yield
    finally:
        _only_signing.reset(token)


def refuse_to_act() -> None:
    """To be called before every effect that is not an update.

    Raises:
        Problem: 409 `NothingToSign`, only signatures are wanted.
    """
    if _only_signing.get():
        raise Problem(409, "NothingToSign", "This is no update of a workflow; send it without signing it first.")


class Signer:
    """Signs updates with the server's private key (Ed25519, JWS compact: RFC 7515, RFC 8037)."""

    def __init__(self, key: Ed25519PrivateKey, clock: Clock = time.time) -> None:
        self._key = key
        self._id = key_id(key.public_key().public_bytes_raw())
        self._clock = clock

    def __repr__(self) -> str:
        return f"Signer({self._id!r})"

    def sign(self, workflow: str, update: str, update_id: str, said: M) -> M:
        """The same input with its proof. What has no field for one, or no actor, is left as it is.

        Raises:
            NotSent: within `only_signing`.
        """
        actor = getattr(said, "actor", None)
        if PROOF not in type(said).model_fields or not isinstance(actor, Actor):
            refuse_to_act()
            return said
        statement = stated(workflow, update, said, actor, self._clock())
        payload = statement.model_dump(mode="json")
        proof = jwt.encode(payload, self._key, algorithm=ALGORITHM, headers={"kid": self._id})
        proven = said.model_copy(update={PROOF: proof})
        if _only_signing.get():
            signed = Signed(
                workflow=workflow,
                update=update,
                id=update_id,
                input=proven.model_dump(mode="json"),
                expires=statement.expires,
            )
            raise NotSent(signed)
        return proven
