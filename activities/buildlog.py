"""A build's log, kept in the registry beside its images while the build runs and after its pod is gone."""

import asyncio

from activities.registry import Blob, Registry

LIMIT = 8 * 1024 * 1024
INTERVAL_SECONDS = 1.0
ARTIFACT = "application/vnd.towpath.build-log.v1"
_TEXT = "text/plain; charset=utf-8"
_PIECES_LIMIT = 200
_TAIL_LIMIT = 16 * 1024
_CUT_NOTE = b"\n==> The log is longer than 8 MiB; the rest is not kept.\n"


class BuildLog:
    """Takes a log as it is written and stores it about every second, piece by piece.

    A log is read from the beginning each time somebody starts to follow it; what an earlier try of the
    same activity has stored is skipped.

    Args:
        registry: where it is kept.
        repository: the component's image repository, registry included.
        tag: of the log.
    """

    def __init__(self, registry: Registry, repository: str, tag: str) -> None:
        self._registry = registry
        self._repository = repository
        self._tag = tag
        self._pieces: list[Blob] = []
        self._fresh = bytearray()
        self._kept = 0
        self._cut = False
        self._tail = bytearray()
        self._storing = asyncio.Lock()

    @property
    def reference(self) -> str:
        """Where it can be read."""
        return f"{self._repository}:{self._tag}"

    async def resume(self) -> None:
        """Find what an earlier try has stored."""
        self._pieces = list(await self._registry.layers_of(self._repository, self._tag) or ())
        self._kept = sum(piece.size for piece in self._pieces)
        self._cut = self._kept >= LIMIT
        if self._pieces:
            self._tail += await self._registry.get_blob(self._repository, self._pieces[-1].digest)
            del self._tail[:-_TAIL_LIMIT]

    @property
    def tail(self) -> bytes:
        """The last 16 KiB of what there is so far."""
        return bytes(self._tail)

    def follow(self) -> "Follower":
        """Somebody begins to read the log from its beginning."""
        return Follower(self, skip=self._kept + len(self._fresh))

    def add(self, content: bytes) -> None:
        """Take what comes next; beyond the limit a note stands in for the rest."""
        room = LIMIT - self._kept - len(self._fresh)
        # Also of what is beyond the limit: why a build failed is said at its end.
        self._tail += content
        del self._tail[:-_TAIL_LIMIT]
        if self._cut or not content:
            return
        self._fresh += content[:room]
        if len(content) > room:
            self._fresh += _CUT_NOTE
            self._cut = True

    async def store(self) -> None:
        """Store what has come since the last time.

        Raises:
            InfrastructureFailure: the registry does not take it; it is kept for the next time.
        """
        async with self._storing:
            content = bytes(self._fresh)
            if not content:
                return
            piece = await self._registry.put_blob(self._repository, content)
            pieces = [*self._pieces, piece]
            if len(pieces) > _PIECES_LIMIT:
                pieces = [await self._joined(pieces)]
            await self._put(pieces)
            del self._fresh[: len(content)]
            self._pieces, self._kept = pieces, self._kept + len(content)

    async def finish(self) -> None:
        """Store the rest, as one piece."""
        await self.store()
        async with self._storing:
            if len(self._pieces) > 1:
                self._pieces = [await self._joined(self._pieces)]
                await self._put(self._pieces)

    async def _joined(self, pieces: list[Blob]) -> Blob:
        contents = [await self._registry.get_blob(self._repository, piece.digest) for piece in pieces]
        return await self._registry.put_blob(self._repository, b"".join(contents))

    async def _put(self, pieces: list[Blob]) -> None:
        await self._registry.put_artifact(self._repository, self._tag, ARTIFACT, pieces, _TEXT)


class Follower:
    """One reading of a log from its beginning: passes on what is new."""

    def __init__(self, log: BuildLog, skip: int) -> None:
        self._log = log
        self._skip = skip

    def read(self, content: bytes) -> None:
        """The next bytes of this reading."""
        known = min(self._skip, len(content))
        self._skip -= known
        self._log.add(content[known:])
