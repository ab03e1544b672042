"""From where on a push is looked at: from what was handled last, not only from what it says was before it."""

import asyncio
from typing import NamedTuple

from activities.mirror import Mirror
from model.ledger import Handled

Paths = tuple[str, ...] | None


class Considered(NamedTuple):
    """The paths to look at (None: all there are), from where on they were looked for, whether nothing is left to
    be done, and whether the commit comes after the one that was handled."""

    paths: Paths
    base: str
    known: bool = False
    anew: bool = False


async def considered(
    mirror: Mirror, before: str, created: bool, commit: str, handled: Handled | None, limit: int
) -> Considered:
    """What a push to `commit` is to be asked for.

    Args:
        mirror: holds `commit`, and perhaps the others.
        before: where the ref was according to the push; empty when that is unknown, or it was not there.
        created: the push says that the ref was not there.
        commit: what leads the ref.
        handled: what was handled of the ref.
        limit: more paths than this count as unknown.

    Raises:
        InfrastructureFailure: `MirrorBroken`.
    """
    if handled is None:
        paths = await mirror.changed(before, commit, limit) if before else None
        return Considered(paths, "" if paths is None else before)
    covered = await _covers(mirror, handled, before, created)
    if covered and commit == handled.commit:
        return Considered((), handled.base, known=True)
    anew, paths = await asyncio.gather(
        _is_ancestor(mirror, handled.commit, commit), mirror.changed(handled.commit, commit, limit)
    )
    base = handled.base
    if not covered:
        # An earlier push than any that was handled: what it brought is still to be looked at.
        paths = _both(paths, await mirror.changed(before, commit, limit) if before else None)
        if before and await _is_ancestor(mirror, before, base):
            base = before
    return Considered(paths, "" if paths is None else base, anew=anew and commit != handled.commit)


async def _covers(mirror: Mirror, handled: Handled, before: str, created: bool) -> bool:
    """Whether what the push speaks of lies within what was looked at."""
    if not handled.base:
        return True
    if created:
        return False
    if not before or before in (handled.base, handled.commit):
        return True
    if not await mirror.has(handled.base):
        return False
    # A commit that is nowhere any more is none that came before.
    return not await mirror.has(before) or not await _is_ancestor(mirror, before, handled.base)


async def _is_ancestor(mirror: Mirror, commit: str, head: str) -> bool:
    """Also where one of them is nowhere any more: then it is none."""
    return commit == head or (await mirror.call("merge-base", "--is-ancestor", commit, head)).code == 0


def _both(one: Paths, other: Paths) -> Paths:
    return None if one is None or other is None else tuple(sorted({*one, *other}))
