"""Git: what a push changed. Runs on the control plane."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from temporalio import activity

from activities.git import Git
from activities.lookback import considered
from activities.mirror import Mirror
from model.change_ref import check_fetched
from model.commit import Commit
from model.failure import NotFound
from model.filters import touched
from model.push import ZERO_ID
from model.repository import check_address, check_commit, check_ref, tag_of
from model.skip import skip_mark
from model.source import Changes, ChangesRequest

SUBJECT_LIMIT = 200
APART = "#apart"
NAME_LIMIT = 200
REFS_AT_ONCE = 200
LOOKED_LIMIT = 10_000
HEADS_LIMIT = 20_000
PATHS_LIMIT = 5000
"""More paths than this count as unknown, so that histories stay small: then everything is touched."""
MATCHED_LIMIT = 20_000
"""As many are matched where it is told whom they concern, of which PATHS_SHOWN are told."""
PATHS_SHOWN = 100


FETCHES_BETWEEN_TIDYING = 20
"""Looking whether there is anything to tidy takes some milliseconds of every push."""


class Credentials(Protocol):
    """Who Towpath is for a private repository."""

    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        """User and password (or token) that the named Secret holds; None when it holds neither.

        Raises:
            NotFound: there is no such Secret.
        """
        ...


class Source:
    """Reads repositories through the `git` program and bare mirrors on disk.

    Args:
        cache: folder for the mirrors; may be deleted at any time, and be shared by several workers.
        credentials: looks secrets up.
        program: runs git.
    """

    def __init__(self, cache: Path, credentials: Credentials, program: Git | None = None) -> None:
        self._cache = cache
        self._credentials = credentials
        self._program = program or Git()
        self._fetches = 0
        self._waiting: dict[Path, Counter[str]] = {}
        self._looked: dict[tuple[Path, str], tuple[float, bool]] = {}

    @activity.defn(name="source.changes")
    async def changes(self, request: ChangesRequest) -> Changes:
        """What moved between two commits, and whether the commit still leads its ref.

        Raises:
            NotFound: `RefNotFound`, `CommitNotFound`, `RepositoryNotFound`.
            UserFailure: `BadRepositoryAddress`, `BadRef`, `BadCommit`, `GitAuthFailed`.
            InfrastructureFailure: `GitUnreachable`, `GitTimeout`, `MirrorBroken`.
        """
        url, ref = check_address(request.url), check_fetched(request.ref)
        after = check_commit(request.after) if request.after else ""
        before = "" if request.before in ("", ZERO_ID) or not request.before.strip("0") else request.before
        if before:
            check_commit(before)
        handled = request.handled
        mirror = await self._mirror(request, url)
        head = await self._head(mirror, ref, after, handled is not None and handled.commit != after)
        if after and tag_of(ref):
            # Senders tell an annotated tag's own id; what is built is the commit that it stands for.
            after = await mirror.peel(after)
        commit = head if request.leading else (after or head)
        # What nobody has seen may be on its way from one of the server's machines to another, unless the ref has
        # gone elsewhere meanwhile.
        moved = request.leading and handled is not None and handled.commit != head
        if after and after != head and not moved and not await mirror.came(after):
            raise NotFound(
                "CommitNotFound",
                f"{ref} of {url} does not hold {after} (any more); it may have been replaced by force.",
            )
        if before and request.beside and not await mirror.has(before):
            with suppress(NotFound):
                await self._head(mirror, check_ref(request.beside), "")
        described, superseded, look = await asyncio.gather(
            mirror.describe(commit),
            self._is_superseded(mirror, commit, head),
            considered(mirror, before, bool(request.before) and not before, commit, handled, MATCHED_LIMIT),
        )
        written: dict[str, str] = {}
        if described.claimed and before:
            own = look.paths if handled is None else await mirror.changed(before, commit, MATCHED_LIMIT)
            written = await mirror.written(before, commit, own) if own else {}
        return Changes(
            commit=Commit(
                id=commit,
                author=described.author[:NAME_LIMIT],
                author_email=described.email[:NAME_LIMIT],
                subject=described.subject[:SUBJECT_LIMIT],
            ),
            head=head,
            skip=skip_mark(described.message),
            superseded=superseded or (request.leading and after not in ("", head)),
            paths=_told(look.paths, request),
            touched=await _touched(look.paths, request),
            written=written,
            base=look.base,
            known=look.known,
            anew=look.anew,
        )

    async def heads(self, url: str, namespace: str, secret: str) -> dict[str, str]:
        """A repository's branches and tags, with the commits that they lead to now.

        Raises:
            NotFound: `RepositoryNotFound`, `SecretNotFound`.
            UserFailure: `BadRepositoryAddress`, `GitAuthFailed`, `TooManyRefs`.
            InfrastructureFailure: `GitUnreachable`, `GitTimeout`, `MirrorBroken`.
        """
        request = ChangesRequest(url=url, ref="", secret=secret, namespace=namespace)
        mirror = await self._mirror(request, check_address(url))
        async with mirror.locked():
            return await mirror.heads(HEADS_LIMIT)

    async def _head(self, mirror: Mirror, ref: str, after: str, fresh: bool = False) -> str:
        """What leads the ref on the server, as it is after this call began. `fresh`: in any case; else a commit
        that led it when it was looked at last is believed."""
        began = asyncio.get_running_loop().time()
        waiting = self._waiting.setdefault(mirror.folder, Counter())
        waiting[ref] += 1
        try:
            async with mirror.locked():
                head = await mirror.head(ref)
                # Only a commit that leads its ref needs no look at the server: an older one may lead it again
                # (a forced push back), or be gone.
                looked, offered = self._looked.get((mirror.folder, ref), (0.0, False))
                if after and head == after and (not fresh or looked >= began):
                    return head
                if looked < began:
                    offered = await self._fetch(mirror, ref, [other for other in waiting if other != ref])
                if not offered:
                    raise NotFound("RefNotFound", f"{ref} is not in the repository (any more).")
                return await mirror.head(ref)
        finally:
            waiting[ref] -= 1
            if not waiting[ref]:
                del waiting[ref]

    async def _fetch(self, mirror: Mirror, ref: str, others: list[str]) -> bool:
        """Bring a ref here, and those that others wait for as well: pushes of one moment share one fetch.

        False when the server does not have it.
        """
        now = asyncio.get_running_loop().time()
        if not others:
            await mirror.fetch(ref)
            await self._tidy(mirror)
            return True
        wanted = [ref, *others[:REFS_AT_ONCE]]
        offered = await mirror.offered(wanted)
        if offered:
            await mirror.fetch(*sorted(offered))
        if len(self._looked) > LOOKED_LIMIT:
            self._looked.clear()
        self._looked |= {(mirror.folder, each): (now, each in offered) for each in wanted}
        await self._tidy(mirror)
        return ref in offered

    async def _tidy(self, mirror: Mirror) -> None:
        self._fetches += 1
        if self._fetches % FETCHES_BETWEEN_TIDYING == 0:
            await mirror.tidy()

    async def _mirror(self, request: ChangesRequest, url: str) -> Mirror:
        apart = APART if request.apart else ""
        if not request.secret:
            return Mirror(self._program, self._cache, url, apart, None, contents=False)
        basic = await self._credentials.basic(request.namespace, request.secret)
        owner = f"{request.namespace}/{request.secret}{apart}"
        return Mirror(self._program, self._cache, url, owner, basic, contents=False)

    @staticmethod
    async def _is_superseded(mirror: Mirror, commit: str, head: str) -> bool:
        return commit != head and await mirror.is_ancestor(commit, head)


async def _touched(paths: tuple[str, ...] | None, request: ChangesRequest) -> tuple[str, ...] | None:
    """Whom the paths concern; None when that was not asked, or everybody is concerned."""
    if paths is None or not request.concerns:
        return None
    # A thread, since many paths and patterns take longer than others should wait for.
    hits = await asyncio.to_thread(touched, paths, request.concerns.values())
    return tuple(name for name, hit in zip(request.concerns, hits, strict=True) if hit)


def _told(paths: tuple[str, ...] | None, request: ChangesRequest) -> tuple[str, ...] | None:
    """As many of the paths as go into a history: all that count, or a few for people."""
    if paths is not None and request.concerns:
        return paths[:PATHS_SHOWN]
    return None if paths is None or len(paths) > PATHS_LIMIT else paths
