"""Registries that send a text as it was configured, in the header Authorization."""

from collections.abc import Mapping

from triggers.webhooks import signature

_MISSING = "Configure the header Authorization: it is missing or empty."
_BEARER = "bearer "


def check(headers: Mapping[str, str], secrets: tuple[str, ...]) -> None:
    """Accept when Authorization is one of the secrets, or `Bearer` and one of them.

    Raises:
        Problem: 401 `SignatureMissing` or `SignatureWrong`.
    """
    given = headers.get("authorization", "")
    if given[: len(_BEARER)].lower() == _BEARER:
        given = given[len(_BEARER) :].strip()
    signature.check_text(given.encode("latin-1", "replace"), secrets, _MISSING)
