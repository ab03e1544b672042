"""How senders prove that a body is theirs: HMAC-SHA256 over its raw bytes, or a shared text in a header.

Everything is compared in constant time and with every secret whichever fits, so that the time taken tells neither
how much of a guess was right nor which of two live secrets it was. Bytes are compared, not texts: headers arrive
as Latin-1, and a secret may hold any letters.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator

from triggers.problem import Problem

GITHUB_HEADER = "X-Hub-Signature-256"
_SIGNATURES_LIMIT = 8
_DIGEST_LENGTH = hashlib.sha256().digest_size


def check(
    header: str, body: bytes, secrets: tuple[str, ...], name: str = GITHUB_HEADER, prefix: str = "sha256="
) -> None:
    """Accept when the header is `prefix` and the hex HMAC-SHA256 of the body by any of the secrets.

    `name` is the header's, for the message. Sources:
    https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries,
    https://docs.gitea.com/usage/webhooks, https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/

    Raises:
        Problem: 401 `SignatureMissing` or `SignatureWrong`.
    """
    if not header:
        raise Problem(401, "SignatureMissing", f"Sign the body: {name} is missing or empty.")
    given = header.removeprefix(prefix).lower().encode("latin-1", "replace")
    expected = (hmac.new(key, body, hashlib.sha256).hexdigest().encode() for key in _keys(secrets))
    if not (_any_equal(expected, given) and header.startswith(prefix)):
        raise Problem(401, "SignatureWrong", "The signature does not fit the body and the secret configured here.")


def check_text(given: bytes, secrets: tuple[str, ...], missing: str) -> None:
    """Accept when the bytes given are any of the secrets; `missing` says what to send when there are none.

    Raises:
        Problem: 401 `SignatureMissing` or `SignatureWrong`.
    """
    if not given:
        raise Problem(401, "SignatureMissing", missing)
    # Digests are compared, since the comparison of texts of different lengths tells the length.
    expected = (hashlib.sha256(key).digest() for key in _keys(secrets))
    if not _any_equal(expected, hashlib.sha256(given).digest()):
        raise Problem(401, "SignatureWrong", "The secret that was sent is none that is configured here.")


def check_standard(
    header: str,
    identity: str,
    timestamp: str,
    body: bytes,
    secrets: tuple[str, ...],
    clock: Callable[[], float],
    tolerance: float = 300.0,
) -> None:
    """Accept when the header holds a `v1` signature of Standard Webhooks by any secret written `whsec_<base64>`.

    What is signed is `<identity>.<timestamp>.<body>`; a timestamp (seconds since the epoch) more than `tolerance`
    seconds from `clock` is refused, so that nothing can be sent again later.
    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    Raises:
        Problem: 401 `SignatureMissing`, `SignatureWrong` or `SignatureStale`.
    """
    if not (header and identity and timestamp):
        detail = "Sign the body: webhook-id, webhook-timestamp and webhook-signature belong together."
        raise Problem(401, "SignatureMissing", detail)
    signed = f"{identity}.{timestamp}.".encode("latin-1", "replace") + body
    expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in _standard_keys(secrets)]
    matched = False
    for given in _standard_signatures(header):
        matched |= _any_equal(expected, given)
    if not matched:
        raise Problem(401, "SignatureWrong", "The signature does not fit the body and the key configured here.")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise Problem(401, "SignatureWrong", "The webhook-timestamp is no number of seconds.")
    if abs(clock() - int(timestamp)) > tolerance:
        detail = f"The delivery was signed more than {tolerance:g} s from now: send it anew, or set the clocks."
        raise Problem(401, "SignatureStale", detail)


def _keys(secrets: Iterable[str]) -> Iterator[bytes]:
    """Those that count. The line end that `echo` leaves in a Kubernetes Secret is no part of anybody's secret."""
    for secret in secrets:
        key = secret.rstrip("\r\n").encode()
        if key:
            yield key


def _standard_keys(secrets: Iterable[str]) -> Iterator[bytes]:
    for key in _keys(secrets):
        if key.startswith(b"whsec_"):
            try:
                decoded = base64.b64decode(key.removeprefix(b"whsec_"), validate=True)
            except binascii.Error:
                continue
            if decoded:
                yield decoded


def _standard_signatures(header: str) -> Iterator[bytes]:
    """The `v1` ones among the signatures, which are parted by spaces; more than a few are nobody's."""
    for part in header.split(" ", _SIGNATURES_LIMIT)[:_SIGNATURES_LIMIT]:
        version, _, encoded = part.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(encoded, validate=True)[: _DIGEST_LENGTH + 1]
            except ValueError:
                continue


def _any_equal(expected: Iterable[bytes], given: bytes) -> bool:
    matched = False
    for each in expected:
        matched |= hmac.compare_digest(each, given)
    return matched
