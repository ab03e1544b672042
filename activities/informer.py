"""One kind of declared object, kept in memory and kept fresh."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import structlog

from activities.changes import Change
from model.failure import Failure

Object = dict[str, Any]
REFUSED_PAUSE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Watching(Protocol):
    """The part of `activities.apiserver.ApiServer` that an informer needs."""

    def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[Change]:
        """Every change, for ever; SYNCED after each complete list."""
        ...


class Informer:
    """The objects of one kind in all namespaces, and whoever wants to hear of changes.

    Listeners are called as `listener(before, after)`: `before` is None for a new object, `after` for a
    deleted one. They must be quick and not raise.
    """

    def __init__(self, server: Watching, api_version: str, kind: str) -> None:
        self._server = server
        self.api_version = api_version
        self.kind = kind
        self.objects: dict[tuple[str, str], Object] = {}
        self.synced = asyncio.Event()
        self._listeners: list[Callable[[Object | None, Object | None], None]] = []

    def listen(self, listener: Callable[[Object | None, Object | None], None]) -> None:
        """Hear of every change from now on."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Watch for ever. A refusal (a missing permission) is said loudly and tried again: it may be granted."""
        while True:
            try:
                await self._follow()
            except Failure as failure:
                log.error(
                    "cannot watch",
                    api_version=self.api_version,
                    kind=self.kind,
                    reason=failure.reason,
                    message=failure.message,
                )
                await asyncio.sleep(REFUSED_PAUSE_SECONDS)

    async def _follow(self) -> None:
        unseen = set(self.objects)
        async for change in self._server.watch(self.api_version, self.kind):
            if change.type == "SYNCED":
                # A watch begun anew does not know what this informer had seen before.
                for gone in unseen:
                    self._set(gone, None)
                unseen = set()
                self.synced.set()
                continue
            metadata = change.object["metadata"]
            identity = (metadata.get("namespace", ""), metadata["name"])
            unseen.discard(identity)
            self._set(identity, None if change.type == "DELETED" else change.object)

    def _set(self, identity: tuple[str, str], after: Object | None) -> None:
        before = self.objects.pop(identity, None)
        if after is not None:
            self.objects[identity] = after
        for listener in self._listeners:
            listener(before, after)
