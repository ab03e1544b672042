"""One watch of a build plane's Argo Workflows, shared by everybody who waits for one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from activities.apiserver import ApiServer
from activities.argo import API_VERSION, KIND
from activities.changes import Change
from model import labels
from model.failure import Failure

Object = dict[str, Any]


class Reader:
    """One who waits for an object."""

    def __init__(self) -> None:
        self._news: asyncio.Queue[Change | Failure] = asyncio.Queue()

    def tell(self, news: Change | Failure) -> None:
        """Something has happened."""
        self._news.put_nowait(news)

    async def next(self) -> Change:
        """The next change.

        Raises:
            Failure: the watch has ended, since the API server refuses it.
        """
        news = await self._news.get()
        if isinstance(news, Failure):
            raise news
        return news


class ArgoWatch:
    """Tells each who asks what becomes of one object. A watch of one's own for each of some hundred builds
    would take as many connections to the API server.

    It runs while anybody asks.
    """

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self._server = server
        self._namespace = namespace
        self._readers: dict[str, list[Reader]] = {}
        self._running: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[Reader]:
        """The object as it is now (`ADDED`, or nothing), `SYNCED`, then every change.

        The shared watch may be behind: after that, changes may come that are older than what was told.

        Raises:
            InfrastructureFailure: the API server cannot be reached.
        """
        reader = Reader()
        self._readers.setdefault(name, []).append(reader)
        try:
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._run())
            present = await self._server.get(API_VERSION, KIND, name, self._namespace)
            if present is not None:
                reader.tell(Change("ADDED", present))
            reader.tell(Change("SYNCED", {}))
            yield reader
        finally:
            self._readers[name].remove(reader)
            if not self._readers[name]:
                del self._readers[name]
            if not self._readers and self._running is not None:
                self._running.cancel()
                self._running = None

    async def _run(self) -> None:
        ours = labels.query({labels.MANAGED_BY: labels.MANAGER})
        changes = self._server.watch(API_VERSION, KIND, self._namespace, labels=ours)
        try:
            async for change in changes:
                if change.type != "SYNCED":
                    for reader in self._readers.get(change.object["metadata"]["name"], ()):
                        reader.tell(change)
        except Failure as failure:
            for readers in self._readers.values():
                for reader in readers:
                    reader.tell(failure)
        finally:
            await changes.aclose()
