"""Sees to it that images that are followed are looked at from time to time, as long as any are."""

import asyncio

import structlog
from temporalio.client import Client

from activities.declarations import OPENCHOREO
from activities.informer import Informer, Object, Watching
from activities.schedules import Planned, Schedules
from model.failure import Failure
from model.image_sweep import ImageSweepRequest

PREFIX = "image-sweep/"
EVERY_SECONDS = 900.0
AGAIN_SECONDS = 300.0
RETRY_SECONDS = 10.0
GATHER_SECONDS = 1.0

log = structlog.get_logger(__name__)


class ImageSweepWatch:
    """Keeps one schedule while there is a component that nothing is built for, and none else."""

    def __init__(self, server: Watching, client: Client, prefix: str = PREFIX) -> None:
        self._schedules = Schedules(client)
        self._prefix = prefix
        self._components = Informer(server, OPENCHOREO, "Component")
        self._news = asyncio.Event()
        self._components.listen(self._changed)

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._components.run())
            tasks.create_task(self._keep())

    def plans(self) -> dict[str, Planned]:
        """The schedules that are wanted."""
        if not any(_runs_an_image(obj) for obj in self._components.objects.values()):
            return {}
        plan = Planned(
            workflow="ImageSweep",
            argument=ImageSweepRequest(),
            every=EVERY_SECONDS,
            jitter=EVERY_SECONDS / 10,
            note="Images that nobody announced",
        )
        return {f"{self._prefix}all": plan}

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if (before is not None and _runs_an_image(before)) != (after is not None and _runs_an_image(after)):
            self._news.set()

    async def _keep(self) -> None:
        await self._components.synced.wait()
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            wait = AGAIN_SECONDS
            try:
                await self._schedules.keep(self._prefix, self.plans())
            except Failure as failure:
                log.warning("image sweeps not scheduled", reason=failure.reason, message=failure.message)
                wait = RETRY_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue


def _runs_an_image(obj: Object) -> bool:
    spec = obj.get("spec")
    return isinstance(spec, dict) and not spec.get("workflow") and spec.get("autoBuild") is not False
