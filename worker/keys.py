"""The keys of proofs and seals, read from files that only our processes can read."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from model.failure import UserFailure
from model.proofkey import key_id

ProofKeys = Mapping[str, Ed25519PublicKey]
"""Public keys of those who may sign statements, by key id."""

SECRET_BYTES = 32
_END = b"-----END PUBLIC KEY-----"


@dataclass(frozen=True, repr=False)
class SealKeys:
    """Secrets by id. `active` is the one to seal with; the others are on their way in or out."""

    active: str
    secrets: Mapping[str, bytes]

    def __repr__(self) -> str:
        return f"SealKeys({self.active!r}, {len(self.secrets)} keys)"


class _SealKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=64)]
    secret: str


def signing_key(path: Path | None) -> Ed25519PrivateKey:
    """The server's private key, a PEM file (PKCS #8, not encrypted).

    Raises:
        UserFailure: `SigningKeyMissing` or `BadSigningKey`.
    """
    if path is None:
        raise UserFailure("SigningKeyMissing", "Set TOWPATH_SIGNING_KEY to a PEM file with an Ed25519 key.")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unreadable("BadSigningKey", path, "an Ed25519 private key", error) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserFailure("BadSigningKey", f"{path.name} must hold an Ed25519 private key, not another kind.")
    return key


def proof_keys(path: Path | None) -> ProofKeys:
    """The public keys of a PEM file, one after the other: two while the server's key is being changed.

    Raises:
        UserFailure: `ProofKeysMissing` or `BadProofKeys`.
    """
    if path is None:
        raise UserFailure("ProofKeysMissing", "Set TOWPATH_PROOF_KEYS to a PEM file with Ed25519 public keys.")
    found: dict[str, Ed25519PublicKey] = {}
    try:
        for piece in path.read_bytes().split(_END):
            if not piece.strip():
                continue
            key = load_pem_public_key(piece + _END + b"\n")
            if not isinstance(key, Ed25519PublicKey):
                raise UserFailure("BadProofKeys", f"{path.name} must hold Ed25519 public keys, not another kind.")
            found[key_id(key.public_bytes_raw())] = key
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _unreadable("BadProofKeys", path, "Ed25519 public keys", error) from None
    if not found:
        raise UserFailure("BadProofKeys", f"{path.name} holds no key.")
    return found


def seal_keys(path: Path | None) -> SealKeys:
    """The control plane's own secrets: a JSON list of {id, secret (base64, 32 bytes or more)}, the first in use.

    Raises:
        UserFailure: `SealKeysMissing` or `BadSealKeys`.
    """
    if path is None:
        raise UserFailure("SealKeysMissing", "Set TOWPATH_SEAL_KEYS to a JSON file of [{id, secret}].")
    try:
        listed = TypeAdapter(list[_SealKey]).validate_json(path.read_bytes())
        secrets = {each.id: base64.b64decode(each.secret, validate=True) for each in listed}
    except (OSError, ValidationError, binascii.Error) as error:
        raise _unreadable("BadSealKeys", path, "a JSON list of {id, secret}, base64", error) from None
    if not secrets or any(len(secret) < SECRET_BYTES for secret in secrets.values()):
        raise UserFailure("BadSealKeys", f"{path.name} must hold at least one secret of {SECRET_BYTES} bytes.")
    return SealKeys(active=listed[0].id, secrets=secrets)


def _unreadable(reason: str, path: Path, what: str, error: Exception) -> UserFailure:
    # The errors' own words may quote the file.
    return UserFailure(reason, f"{path.name} must hold {what} ({type(error).__name__}).")
