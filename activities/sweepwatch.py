"""Sees to it that every declared repository is looked at from time to time."""

import asyncio
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from activities.declarations import CHOREO, OPENCHOREO, TOWPATH
from activities.informer import Informer, Object, Watching
from activities.schedules import Planned, Schedules
from model import declared, ids
from model.failure import Failure, UserFailure
from model.repository import normalise
from model.resources.declared import read
from model.resources.repository import Repository
from model.resources.sweeping import EVERY_SECONDS
from model.sweep import SweepRequest

GATHER_SECONDS = 1.0
AGAIN_SECONDS = 300.0
RETRY_SECONDS = 10.0
JITTER = 0.1
"""Part of the time between two looks by which one may be late, so that not all repositories are asked at once."""
CATCH_UP_SECONDS = 60.0
"""A sweep sees all that was missed meanwhile, so those that nobody could start need not be made up for."""
_REPOSITORY = SearchAttributeKey.for_keyword("TowpathRepository")

log = structlog.get_logger(__name__)


class SweepWatch:
    """Keeps one schedule a repository, of those that Repository objects and components name.

    Two workers do the same twice, which comes to the same.
    """

    def __init__(self, server: Watching, client: Client, prefix: str = "sweep/") -> None:
        self._schedules = Schedules(client)
        self._prefix = prefix
        self._repositories = Informer(server, TOWPATH, "Repository")
        self._components = (Informer(server, OPENCHOREO, "Component"), Informer(server, CHOREO, "Component"))
        self._news = asyncio.Event()
        for informer in (self._repositories, *self._components):
            informer.listen(self._changed)

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (self._repositories, *self._components):
                tasks.create_task(informer.run())
            tasks.create_task(self._keep())

    def plans(self) -> dict[str, Planned]:
        """The schedules that are wanted, by their ids."""
        every = self._declared()
        for informer in self._components:
            for obj in informer.objects.values():
                every.setdefault(_source(obj), EVERY_SECONDS)
        # A component that is declared by nobody can be swept by nobody: an unreadable one is told by itself.
        return {
            ids.sweep(repository): _plan(repository, seconds)
            for repository, seconds in every.items()
            if repository and seconds
        }

    def _declared(self) -> dict[str, float]:
        """Seconds by repository as Repository objects say; 0 for one that is suspended. The most often counts."""
        found: dict[str, float] = {}
        for obj in self._repositories.objects.values():
            try:
                spec = read(Repository, obj).spec
                repository, seconds = normalise(spec.url), spec.sweep.seconds
            except UserFailure as failure:
                log.warning("not swept", name=obj["metadata"]["name"], reason=failure.reason)
                continue
            wanted = 0.0 if spec.sweep.suspended else seconds
            before = found.get(repository, 0.0)
            found[repository] = min(before, wanted) if before and wanted else before or wanted
        return found

    def _changed(self, before: Object | None, after: Object | None) -> None:
        # Statuses change all the time and say nothing about sources.
        if before is None or after is None or before.get("spec") != after.get("spec"):
            self._news.set()

    async def _keep(self) -> None:
        for informer in (self._repositories, *self._components):
            await informer.synced.wait()
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            wait = AGAIN_SECONDS
            try:
                await self._schedules.keep(self._prefix, self.plans())
            except Failure as failure:
                log.warning("sweeps not scheduled", reason=failure.reason, message=failure.message)
                wait = RETRY_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue


def _source(obj: dict[str, Any]) -> str:
    """The repository that a component is built from; empty for none, and for one that cannot be read."""
    try:
        source = declared.component(obj).source
        return normalise(source.url) if source is not None else ""
    except UserFailure:
        return ""


def _plan(repository: str, seconds: float) -> Planned:
    return Planned(
        workflow="Sweep",
        argument=SweepRequest(repository=repository),
        every=seconds,
        jitter=seconds * JITTER,
        catch_up=CATCH_UP_SECONDS,
        at_once=True,
        note=f"What nobody announced of {repository}",
        attributes=TypedSearchAttributes([SearchAttributePair(_REPOSITORY, repository)]),
    )
