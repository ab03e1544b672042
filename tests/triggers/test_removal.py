"""A deleted component is taken down, also when nobody watched while it went."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from model import ids
from model.key import ComponentKey
from tests.triggers.fakes import FakeApiServer, FakeRuns, FakeSecrets, component_object, convert
from triggers.declared import Declared
from triggers.removal import RemovalWatch

KEY = ComponentKey(name="hello-world")
GONE = ComponentKey(name="gone")


@contextlib.asynccontextmanager
async def watching(apiserver: FakeApiServer, runs: FakeRuns) -> AsyncIterator[None]:
    declared = Declared(apiserver, FakeSecrets(), convert)
    watch = RemovalWatch(runs, declared)
    declared.listen_removed(watch.removed)
    tasks = [asyncio.create_task(declared.run()), asyncio.create_task(watch.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await asyncio.gather(*tasks)


async def until_started(runs: FakeRuns, workflow: str) -> None:
    async with asyncio.timeout(5):
        while workflow not in runs.started:  # noqa: ASYNC110  (a dictionary, no event)
            await asyncio.sleep(0.01)


async def test_what_went_while_nobody_watched_is_taken_down() -> None:
    runs = FakeRuns()
    runs.running_lanes = {ids.lane(KEY, "development"), ids.lane(GONE, "development"), ids.lane(GONE, "staging")}
    async with watching(FakeApiServer(component_object()), runs):
        await until_started(runs, ids.teardown(GONE, "missed"))
    assert list(runs.started) == [ids.teardown(GONE, "missed")]


async def test_temporal_that_is_away_is_waited_for() -> None:
    runs = FakeRuns()
    runs.down = True
    runs.running_lanes = {ids.lane(GONE, "development")}
    async with watching(FakeApiServer(component_object()), runs):
        await asyncio.sleep(0)
        runs.down = False
        await until_started(runs, ids.teardown(GONE, "missed"))


async def test_a_component_that_is_deleted_is_taken_down_once() -> None:
    runs, apiserver = FakeRuns(), FakeApiServer(component_object())
    runs.running_lanes = {ids.lane(KEY, "development")}
    async with watching(apiserver, runs):
        while not apiserver.watched("Component"):  # noqa: ASYNC110  (a property, no event)
            await asyncio.sleep(0.01)
        apiserver.tell("DELETED", component_object())
        await until_started(runs, ids.teardown(KEY, "uid-hello-world"))
    assert len(runs.started) == 1
