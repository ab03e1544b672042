"""Many lives side by side, on any Temporal: what serves them, and what is asked of them in the end."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.ledgers import Ledgers
from activities.sweeps import Sweeps
from model import ids
from model.component import Component
from model.failure import Failure
from model.key import ComponentKey
from model.push import Push
from model.release import Release
from model.repository import normalise
from model.resources.repository import Repository
from model.sweep import Redelivered, SweepRequest
from tests.faults.building import Builder, Built
from tests.faults.ledgers import InMemory
from tests.faults.life import MAIN, Flaky, Life, ended
from tests.faults.repository import Hosted
from tests.triggers.fakes import FakeApiServer
from tests.triggers.serving import Parts
from tests.triggers.serving import serving as server
from tests.workflows.world import World, release
from triggers.starter import TemporalStarter
from worker.failures import FailureInterceptor
from worker.planes import activities_of as of
from workflows.deletion import Deletion
from workflows.delivery import Delivery
from workflows.ledger import Ledger
from workflows.sweep import Sweep


class Everybody(World):
    """The scripted world with every life's components in it."""

    lives: dict[str, Life]

    @activity.defn(name="resources.components_for")
    async def components_for(self, push: Push) -> list[Component]:
        return self.lives[push.repository].components if push.ref == MAIN else []

    @activity.defn(name="sweeps.redeliver")
    async def redeliver(self, _request: SweepRequest) -> Redelivered:
        """The sender keeps no log."""
        return Redelivered()

    async def built_from(self, repository: str) -> list[Component]:
        """Who names a repository."""
        return self.lives[repository].components

    def following(self, components: Sequence[Component], push: Push) -> list[Component]:
        """Those that follow a push."""
        return list(components) if push.ref == MAIN else []

    async def every(self, namespace: str, address: str) -> list[Repository]:
        """Who declares a repository."""
        return []


class _Known:
    """What is declared, as a sweep asks for it."""

    def __init__(self, world: Everybody) -> None:
        self.built_from = world.built_from
        self.following = world.following

    async def releases(self, key: ComponentKey) -> list[Release]:
        """What is there when a repository is declared was released before."""
        return [release(1)]


class Many:
    """The lives of some seeds.

    Args:
        client: of any Temporal.
        ledgers: where it is put down what was handled.
        prefix: of the repositories' addresses, so that two runs on one Temporal do not meet.
    """

    def __init__(self, client: Client, ledgers: Ledgers | InMemory, prefix: str = "lives") -> None:
        self._client = client
        self._ledgers = ledgers
        self._prefix = prefix
        self._builder = Builder()
        self._world = Everybody()
        self._order = itertools.count(1)

    async def live(self, seeds: Sequence[int], side_by_side: int, folder: Path, deaths: float = 0) -> None:
        """Live them all, with workers that die every so many seconds (0: never), and look what has become of them.

        Raises:
            AssertionError: a promise is broken; with the seed.
        """
        names = {seed: f"https://git.example/{self._prefix}/r{seed}.git" for seed in seeds}
        declared = [
            {
                "apiVersion": "towpath.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": f"r{seed}", "namespace": "default"},
                "spec": {"url": url},
            }
            for seed, url in names.items()
        ]
        starter = Flaky(TemporalStarter(self._client), random.Random(0))
        async with server(Parts(apiserver=FakeApiServer(*declared)), folder, starter=starter) as http:
            lives = [
                Life.of(seed, url, http, self._client, self._builder, self._ledgers) for seed, url in names.items()
            ]
            self._world.lives = {normalise(life.repository.url): life for life in lives}
            gate = asyncio.Semaphore(side_by_side)

            async def live(life: Life) -> None:
                async with gate:
                    await life.live(self._sweep)

            async with self._served(deaths):
                await asyncio.gather(*(live(life) for life in lives))
                for life in lives:
                    await life.keeps_its_promises()

    async def _sweep(self, repository: str) -> None:
        request = SweepRequest(repository=repository, because="asked")
        name = f"sweep/{repository}/{next(self._order)}"
        handle = await self._client.start_workflow(Sweep.run, request, id=name, task_queue=ids.CONTROL_QUEUE)
        await ended(self._client, name)
        state = await handle.result()
        assert state.outcome in ("NothingMissed", "Found"), state
        self._world.lives[repository].accepted |= {found.workflow for found in state.found}

    @asynccontextmanager
    async def _served(self, deaths: float) -> AsyncIterator[None]:
        serving = self._working()
        if not deaths:
            async with serving:
                yield
            return

        async def live_and_die() -> None:
            while True:
                async with self._working():
                    await asyncio.sleep(deaths)

        living = asyncio.create_task(live_and_die())
        try:
            yield
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        world, ledgers = self._world, self._ledgers
        hosted = Hosted({address: life.repository for address, life in world.lives.items()})
        sweeps = Sweeps(self._client, hosted, ledgers, _Known(world), world)  # type: ignore[arg-type]
        told: list[Callable[..., Any]] = [each for each in world.all() if _name(each) != "source.changes"]
        options: dict[str, Any] = {
            "interceptors": [FailureInterceptor()],
            "workflow_failure_exception_types": [Failure],
        }
        async with (
            Worker(
                self._client,
                task_queue=ids.CONTROL_QUEUE,
                workflows=[Delivery, Deletion, Sweep, Built],
                activities=[
                    *told,
                    hosted.changes,
                    self._builder.take,
                    world.redeliver,
                    *of(ledgers),
                    *of(sweeps),
                ],
                **options,
            ),
            Worker(self._client, task_queue=ids.ADMISSION_QUEUE, workflows=[Ledger], **options),
        ):
            yield


def _name(method: Any) -> str:
    return str(getattr(method, "__temporal_activity_definition").name)
