"""Which comment is ours: the same rule for every provider."""

from collections.abc import Awaitable, Callable, Iterable

from model.failure import UserFailure
from model.hosting import HostedComment

# Deleted, or somebody else's that quotes ours.
_LOST = ("ProviderNotFound", "ProviderRefused", "ProviderInvalid")


async def put(
    comment: HostedComment,
    own: Callable[[], Awaitable[Iterable[str]]],
    update: Callable[[str], Awaitable[object]],
    create: Callable[[], Awaitable[str]],
) -> str:
    """Update what is known; else what begins with our marker, since an answer may have been lost on its way; else
    write anew. Returns the comment's id.

    Args:
        comment: what is to be said.
        own: ids of the comments that begin with the marker, oldest first.
        update: changes one by its id.
        create: writes one and returns its id.
    """
    if comment.comment and await _updated(comment.comment, update):
        return comment.comment
    if comment.marker:
        for known in await own():
            if known != comment.comment and await _updated(known, update):
                return known
    return await create()


async def _updated(known: str, update: Callable[[str], Awaitable[object]]) -> bool:
    try:
        await update(known)
    except UserFailure as failure:
        if failure.reason not in _LOST:
            raise
        return False
    return True
