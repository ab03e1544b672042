"""HMAC-SHA256 over the raw body, as GitHub and plain Git hooks sign."""

import hashlib
import hmac

from triggers.problem import Problem

_PREFIX = "sha256="


def check(header: str, body: bytes, secrets: tuple[str, ...]) -> None:
    """Accept when the header is `sha256=<hex>` by any of the secrets.

    Compared in constant time, with all secrets whichever fits, so that the time taken tells nothing.
    Source: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries

    Raises:
        Problem: 401 `SignatureMissing` or `SignatureWrong`.
    """
    if not header:
        raise Problem(401, "SignatureMissing", "Sign the body: X-Hub-Signature-256 is missing or empty.")
    given = header.removeprefix(_PREFIX).lower().encode("utf-8", "replace")
    matched = False
    for secret in secrets:
        if secret:
            expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
            matched |= hmac.compare_digest(expected, given)
    if not (matched and header.startswith(_PREFIX)):
        raise Problem(401, "SignatureWrong", "The signature does not fit the body and the secret configured here.")
