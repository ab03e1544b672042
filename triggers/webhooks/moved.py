"""A ref has moved: what that means, the same for every sender."""

from model.actor import Actor
from model.push import ZERO_ID, Event, Ignored, Push
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
) -> Event:
    """The push that a moved ref is, or why it starts nothing.

    A deleted ref (new id all zeros) is never built. Tags start nothing yet.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadRef`, `BadCommit`.
    """
    check_address(url)
    check_ref(ref)
    for commit in (before, after):
        if commit:
            check_commit(commit)
    if _absent(after):
        return Ignored(
            provider=provider, delivery=delivery, reason="RefDeleted", message="A deleted ref is not built."
        )
    if ref.startswith("refs/tags/"):
        return Ignored(
            provider=provider, delivery=delivery, reason="TagPush", message="Tags start nothing; push a branch."
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
        actor=Actor(kind="person", name=pusher, email=email) if pusher else Actor(),
    )


def _absent(commit: str) -> bool:
    """SHA-1 repositories write absence as 40 zeros, SHA-256 ones as 64."""
    return commit in (ZERO_ID, "0" * 64)
