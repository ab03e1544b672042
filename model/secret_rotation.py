"""A webhook's secret while it is being replaced: which texts count, and what its Kubernetes Secret holds.

Beside the secret under `KEY` a Secret may hold `KEY.next`, which counts already while the provider is still to be
told of it, and `KEY.previous`, which counts until `KEY.previous-until` (seconds since the epoch): what was signed
before the change may come after it. `KEY.told` is the fresh secret once the provider has been told of it.
"""

from collections.abc import Mapping

from model.failure import Conflict

NEXT, TOLD, PREVIOUS, UNTIL = ".next", ".told", ".previous", ".previous-until"
KEY_LIMIT = 253 - len(UNTIL)
Texts = Mapping[str, str]
Change = dict[str, str | None]
"""Keys to write, and with None to drop."""


def names(key: str) -> tuple[str, ...]:
    """The keys of a Secret that have to do with one secret."""
    return (key, key + NEXT, key + PREVIOUS, key + UNTIL)


def live(texts: Texts, key: str, now: float) -> tuple[str, ...]:
    """What a delivery may be signed with, the newest last; empty when there is no secret.

    Args:
        texts: the Secret's.
        key: the one that the Repository names.
        now: seconds since the epoch.
    """
    found = [texts.get(key), texts.get(key + NEXT)]
    if now < _until(texts, key):
        found.insert(0, texts.get(key + PREVIOUS))
    return tuple(dict.fromkeys(text for text in found if text))


def newest(texts: Texts, key: str) -> str:
    """What the provider is to sign with from now on; empty when there is none."""
    return texts.get(key + NEXT) or texts.get(key) or ""


def prepared(texts: Texts, key: str, fresh: str) -> Change:
    """Let a fresh secret count beside the present one; nothing when a rotation has begun already.

    Raises:
        Conflict: `KeyTooLong`, there is no room for the keys beside it.
    """
    if len(key) > KEY_LIMIT:
        raise Conflict(
            "KeyTooLong", f"Key {key[:40]}… is too long to be rotated; name a key of at most 200 letters."
        )
    if texts.get(key + NEXT):
        return {}
    return {key + NEXT: fresh} if texts.get(key) else {key: fresh}


def told(texts: Texts, key: str, secret: str) -> Change:
    """Note that the provider has been told of the fresh secret; nothing when it is another one by now."""
    if texts.get(key + NEXT) != secret or texts.get(key + TOLD) == secret:
        return {}
    return {key + TOLD: secret}


def promoted(texts: Texts, key: str, until: float) -> Change:
    """Make the fresh secret the secret; the old one counts until then. Nothing when that has been done, or while
    the provider has not been told of this one: a late call of an earlier rotation must not do it for a later."""
    fresh = texts.get(key + NEXT)
    if not fresh or texts.get(key + TOLD) != fresh:
        return {}
    return {
        key: fresh,
        key + NEXT: None,
        key + TOLD: None,
        key + PREVIOUS: texts.get(key),
        key + UNTIL: str(int(until)),
    }


def retired(texts: Texts, key: str, now: float) -> Change:
    """Drop the old secret once it does not count any more."""
    if key + PREVIOUS not in texts or now < _until(texts, key):
        return {}
    return {key + PREVIOUS: None, key + UNTIL: None}


def _until(texts: Texts, key: str) -> float:
    told = texts.get(key + UNTIL, "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 15 else 0.0
