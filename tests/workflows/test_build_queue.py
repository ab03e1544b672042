"""The queue before a build plane in skipped time: limits, turns, supersede and cancelling.

What ends without a word, and the queue's own end, is in tests/integration/test_build_queue.py.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client

from model.build_queue import Limits
from tests.building import Plane, empty, phase, request, start, until, view, waits
from tests.workflows.conftest import Serve

Planes = Callable[[int], Any]


@pytest.fixture
def served(serve: Serve) -> Planes:
    """A plane with a limit, and workers."""

    @asynccontextmanager
    async def plane(running: int) -> AsyncIterator[tuple[Plane, Client]]:
        world = Plane(limits=Limits(running=running))
        async with serve(world) as environment:
            try:
                yield world, environment.client
            finally:
                world.end.set()

    return plane


async def test_sixty_builds_of_three_projects_never_pass_the_limit_and_take_turns(served: Planes) -> None:
    async with served(3) as (world, client):
        flood = [await start(client, request(f"a{number}", 1, "flood")) for number in range(50)]
        others = [
            await start(client, request(f"{project}{number}", 1, project))
            for project in ("b", "c")
            for number in range(5)
        ]
        waiting = await until(lambda: waits(client, 57), "all the others wait")
        assert {each.reason for each in waiting.waiting} == {"WaitsForPlane"}
        assert len(world.submitted) == 3
        world.end.set()
        states = [await handle.result() for handle in [*flood, *others]]
        assert {state.phase for state in states} == {"succeeded"}
        assert world.most <= 3
        assert len(world.submitted) == 60
        # The small ones are through when the flood has had about as many turns as they: with fifty before them
        # they would otherwise have come last.
        last = max(at for at, build in enumerate(world.order) if not build.startswith("flood/"))
        assert last <= 3 + 3 * 5 + 6
        assert (await until(lambda: empty(client), "nobody is left")).running == ()


async def test_a_waiting_build_says_so_once_and_where_it_stands(served: Planes) -> None:
    async with served(1) as (world, client):
        first = await start(client, request("one", 1))
        await until(lambda: world.submitted, "the first runs")
        second = await start(client, request("two", 1))
        queued = await until(lambda: phase(second, "queued"), "the second waits")
        assert queued.reason == "WaitsForPlane"
        assert queued.message == "1 builds run on plane default, of 1 at most."
        [place] = (await view(client)).waiting
        assert (place.position, place.entry.build) == (1, second.id)
        world.end.set()
        assert (await second.result()).phase == "succeeded"
        assert (await first.result()).phase == "succeeded"
        told = [note for note in world.notes if note.reason == "BuildQueued"]
        assert [note.workflow for note in told] == [second.id]


async def test_a_newer_push_replaces_the_waiting_older_one_which_is_never_submitted(served: Planes) -> None:
    async with served(1) as (world, client):
        running = await start(client, request("one", 1))
        await until(lambda: world.submitted, "the first runs")
        older = await start(client, request("two", 1))
        await until(lambda: phase(older, "queued"), "the older one waits")
        other = await start(client, request("three", 1))
        await until(lambda: phase(other, "queued"), "another waits behind it")
        newer = await start(client, request("two", 2))
        ended = await older.result()
        assert (ended.phase, ended.argo) == ("superseded", "")
        assert newer.id in ended.message
        assert [each.entry.build for each in (await view(client)).waiting] == [newer.id, other.id]
        world.end.set()
        for handle in (running, newer, other):
            assert (await handle.result()).phase == "succeeded"
        assert world.submitted == ["one-1", "two-2", "three-1"]


async def test_with_a_limit_of_one_a_newer_push_stops_the_running_older_one_and_has_its_slot(
    served: Planes,
) -> None:
    async with served(1) as (world, client):
        older = await start(client, request("one", 1))
        await until(lambda: world.submitted, "the older one runs")
        other = await start(client, request("two", 1))
        await until(lambda: phase(other, "queued"), "another waits")
        newer = await start(client, request("one", 2))
        assert (await older.result()).phase == "superseded"
        await until(lambda: "one-2" in world.submitted, "the newer one runs")
        assert (world.stopped, world.most) == (["one-1"], 1)
        assert "two-1" not in world.submitted
        world.end.set()
        assert (await newer.result()).phase == "succeeded"
        assert (await other.result()).phase == "succeeded"


async def test_who_is_cancelled_while_waiting_leaves_and_is_never_submitted(served: Planes) -> None:
    async with served(1) as (world, client):
        running = await start(client, request("one", 1))
        await until(lambda: world.submitted, "the first runs")
        waiting = await start(client, request("two", 1))
        await until(lambda: phase(waiting, "queued"), "the second waits")
        await waiting.cancel()
        await until(lambda: waits(client, 0), "it has left")
        world.end.set()
        assert (await running.result()).phase == "succeeded"
        assert world.submitted == ["one-1"]
