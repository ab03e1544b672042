"""How a key is named: by what it is, so that nobody has to keep names and keys together."""

import base64
import hashlib
import json


def key_id(raw: bytes) -> str:
    """The thumbprint (RFC 7638) of a raw Ed25519 public key as a JWK (RFC 8037), 43 characters."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": _text(raw)}
    return _text(hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
