"""A ref has moved or gone: what that means, the same for every sender."""

from model.actor import Actor
from model.failure import UserFailure
from model.push import ZERO_ID, Ignored, Push
from model.ref_deleted import RefDeleted
from model.repository import check_address, check_commit, check_ref, normalise
from triggers.webhooks.envelope import Envelope

_PREFIXES = {"branch": "refs/heads/", "tag": "refs/tags/"}


def moved(
    envelope: Envelope,
    url: str,
    ref: str,
    before: str,
    after: str,
    forced: bool = False,
    pusher: str = "",
    email: str = "",
) -> Push | RefDeleted | Ignored:
    """The push that a moved ref is, or its deletion. `before` and `after` are all zeros where there is none.

    A deleted ref is never built: what stood for it ends. What is neither branch nor tag (notes, merges that a
    server makes for its requests) starts nothing, and does not keep the others of its delivery from it.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadRef`, `BadCommit`.
    """
    if ref.startswith("refs/") and not ref.startswith(tuple(_PREFIXES.values())):
        return envelope.ignored("RefNotUsed", "Only branches and tags start something.")
    for commit in (before, after):
        if commit:
            check_commit(commit)
    if _absent(after):
        return deleted(envelope, url, ref, before, pusher, email)
    check_address(url)
    check_ref(ref)
    check_commit(after)
    return Push(
        provider=envelope.provider,
        delivery=envelope.delivery,
        repository=normalise(url),
        url=url,
        ref=ref,
        before=before,
        after=after,
        forced=forced and not _absent(before),
        actor=_actor(pusher, email),
    )


def deleted(
    envelope: Envelope, url: str, ref: str, before: str = "", actor: str = "", email: str = ""
) -> RefDeleted:
    """The deletion of a ref; `before` is empty or all zeros where the sender does not tell the commit.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadRef`, `BadCommit`.
    """
    check_address(url)
    check_ref(ref)
    known = "" if not before or _absent(before) else check_commit(before)
    return RefDeleted(
        provider=envelope.provider,
        delivery=envelope.delivery,
        repository=normalise(url),
        url=url,
        ref=ref,
        before=known,
        actor=_actor(actor, email),
    )


def full_ref(kind: str, name: str) -> str:
    """The full name of a branch or tag of which a sender tells kind and name.

    Raises:
        UserFailure: `BadRef`, neither a branch nor a tag.
    """
    prefix = _PREFIXES.get(kind)
    if prefix is None:
        raise UserFailure("BadRef", "The ref is neither a branch nor a tag.")
    return name if name.startswith(prefix) else prefix + name


def _actor(name: str, email: str) -> Actor:
    return Actor(kind="person", name=name, email=email) if name else Actor()


def _absent(commit: str) -> bool:
    """SHA-1 repositories write absence as 40 zeros, SHA-256 ones as 64."""
    return commit in (ZERO_ID, "0" * 64)
