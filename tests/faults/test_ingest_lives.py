"""Five hundred lives of repositories, by seed: deliveries lost, doubled, late, repeated and out of order, Git
hosts that are away, a server that dies before and after it stored. Nothing that was accepted is lost, nothing is
built twice, no older head wins, and the sweep finds what nobody told.

`TOWPATH_SEEDS=17,100-199` picks some.
"""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
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
from tests.faults.life import MAIN, Flaky, Life
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

SEEDS = 500
SIDE_BY_SIDE = 25


def _seeds() -> list[int]:
    told = os.environ.get("TOWPATH_SEEDS", "")
    if not told:
        return list(range(SEEDS))
    ranges = [part.partition("-") for part in told.split(",")]
    return [seed for first, _, last in ranges for seed in range(int(first), int(last or first) + 1)]


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


@asynccontextmanager
async def _worker(client: Client, world: Everybody, builder: Builder) -> AsyncIterator[None]:
    """Workers that die now and then: each task replays its whole history in another one."""
    hosted = Hosted({address: life.repository for address, life in world.lives.items()})
    ledgers = Ledgers(client)
    sweeps = Sweeps(client, hosted, ledgers, _Known(world), world)
    told = [each for each in world.all() if activity_name(each) != "source.changes"]

    options: dict[str, Any] = {
        "interceptors": [FailureInterceptor()],
        "workflow_failure_exception_types": [Failure],
    }
    async with (
        Worker(
            client,
            task_queue=ids.CONTROL_QUEUE,
            workflows=[Delivery, Deletion, Sweep, Built],
            activities=[*told, hosted.changes, builder.take, world.redeliver, *of(ledgers), *of(sweeps)],
            **options,
        ),
        Worker(client, task_queue=ids.ADMISSION_QUEUE, workflows=[Ledger], **options),
    ):
        yield


def activity_name(method: Any) -> str:
    return str(getattr(method, "__temporal_activity_definition").name)


@pytest.mark.timeout(420)
async def test_whatever_becomes_of_what_is_told_the_newest_is_built_and_nothing_is_lost(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    seeds = _seeds()
    print(f"seeds {seeds[0]} to {seeds[-1]}")
    client, builder, world = temporal.client, Builder(), Everybody()
    addresses = [f"https://git.example/lives/r{seed}.git" for seed in seeds]
    declared = [
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": f"r{number}", "namespace": "default"},
            "spec": {"url": address},
        }
        for number, address in enumerate(addresses)
    ]
    starter = Flaky(TemporalStarter(client), random.Random(0))
    order = itertools.count(1)

    async def sweep(repository: str) -> None:
        request = SweepRequest(repository=repository, because="asked")
        ended = await client.execute_workflow(
            Sweep.run, request, id=f"sweep/{repository}/{next(order)}", task_queue=ids.CONTROL_QUEUE
        )
        assert ended.outcome in ("NothingMissed", "Found"), ended
        world.lives[repository].accepted |= {found.workflow for found in ended.found}

    async with server(Parts(apiserver=FakeApiServer(*declared)), tmp_path, starter=starter) as http:
        lives = [Life.of(seed, http, client, builder) for seed in seeds]
        world.lives = {normalise(life.repository.url): life for life in lives}
        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def live(life: Life) -> None:
            async with gate:
                await life.live(sweep)

        async with _worker(client, world, builder):
            await asyncio.gather(*(live(life) for life in lives))
            for life in lives:
                await life.keeps_its_promises()
