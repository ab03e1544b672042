"""A ref has moved: what that means, the same for every sender."""

from model.actor import Actor
from model.push import ZERO_ID, Push
from model.ref_deleted import RefDeleted
from model.repository import check_address, check_commit, check_ref, normalise


def moved(
    provider: str,
    delivery: str,
    url: str,
    ref: str,
    before: str,
    after: str,
    forced: bool,
    pusher: str = "",
    email: str = "",
) -> Push | RefDeleted:
    """The push that a moved ref is, or its deletion.

    A deleted ref (new id all zeros) is never built: what stood for it ends.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadRef`, `BadCommit`.
    """
    check_address(url)
    check_ref(ref)
    for commit in (before, after):
        if commit:
            check_commit(commit)
    actor = Actor(kind="person", name=pusher, email=email) if pusher else Actor()
    if _absent(after):
        known = "" if _absent(before) else before
        return RefDeleted(
            provider=provider,
            delivery=delivery,
            repository=normalise(url),
            url=url,
            ref=ref,
            before=known,
            actor=actor,
        )
    check_commit(after)
    return Push(
        provider=provider,
        delivery=delivery,
        repository=normalise(url),
        url=url,
        ref=ref,
        before=before,
        after=after,
        forced=forced and not _absent(before),
        actor=actor,
    )


def _absent(commit: str) -> bool:
    """SHA-1 repositories write absence as 40 zeros, SHA-256 ones as 64."""
    return commit in (ZERO_ID, "0" * 64)
