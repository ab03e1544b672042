"""Some hundred builds wait with one watch, and each hears of its own object only."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from activities.apiserver import ApiServer
from activities.argowatch import ArgoWatch
from activities.changes import Change
from model.failure import UserFailure


def argo(name: str, phase: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name}, "status": {"phase": phase}}


class Server:
    """Holds some objects, and counts who watches."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in objects}
        self.news: asyncio.Queue[Change | Exception] = asyncio.Queue()
        self.watching = 0
        self.watched = 0

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        return self.objects.get(name)

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Change, None]:
        self.watching += 1
        self.watched += 1
        try:
            while True:
                news = await self.news.get()
                if isinstance(news, Exception):
                    raise news
                yield news
        finally:
            self.watching -= 1


def watch_of(server: Server) -> ArgoWatch:
    return ArgoWatch(cast(ApiServer, server), "builds")


async def test_many_wait_with_one_watch_that_ends_with_the_last() -> None:
    server = Server(argo("one"), argo("two"))
    watch = watch_of(server)
    async with watch.of("one") as one, watch.of("two") as two:
        for reader in (one, two):
            assert (await reader.next()).type == "ADDED"
            assert (await reader.next()).type == "SYNCED"
        server.news.put_nowait(Change("MODIFIED", argo("one", "Running")))
        server.news.put_nowait(Change("MODIFIED", argo("two", "Succeeded")))
        assert (await one.next()).object["status"]["phase"] == "Running"
        assert (await two.next()).object["status"]["phase"] == "Succeeded"
        assert server.watched == 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.watching == 0


async def test_an_object_that_is_not_there_is_said_at_once() -> None:
    async with watch_of(Server()).of("gone") as reader:
        assert (await reader.next()).type == "SYNCED"


async def test_a_refused_watch_is_told_to_everybody_who_waits() -> None:
    server = Server(argo("one"))
    async with watch_of(server).of("one") as reader:
        await reader.next()
        await reader.next()
        server.news.put_nowait(UserFailure("Forbidden", "no"))
        with pytest.raises(UserFailure, match="no"):
            await reader.next()
