"""Sees to it that components are built at the times that they declare."""

import asyncio

import structlog
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from activities.declarations import CHOREO, OPENCHOREO
from activities.informer import Informer, Object, Watching
from activities.schedules import Planned, Schedules
from model import declared, ids
from model.component import Component
from model.failure import Failure, UserFailure
from model.push import Push
from model.repository import normalise

GATHER_SECONDS = 1.0
AGAIN_SECONDS = 300.0
RETRY_SECONDS = 10.0
JITTER_SECONDS = 30.0
CATCH_UP_SECONDS = 3600.0
"""A nightly build that nobody could start is made up for within the hour; later the next one will do."""
_COMPONENT = SearchAttributeKey.for_keyword("TowpathComponent")
_REPOSITORY = SearchAttributeKey.for_keyword("TowpathRepository")

log = structlog.get_logger(__name__)


class TimedBuilds:
    """Keeps one schedule a component, of those that declare times (see `model.timed_build`).

    Two workers do the same twice, which comes to the same.

    Args:
        server: is watched.
        client: keeps the schedules.
        prefix: of the schedules' ids.
    """

    def __init__(self, server: Watching, client: Client, prefix: str = "timed-build/") -> None:
        self._schedules = Schedules(client)
        self._prefix = prefix
        # Where both groups declare one name, the first counts.
        self._components = (Informer(server, OPENCHOREO, "Component"), Informer(server, CHOREO, "Component"))
        self._news = asyncio.Event()
        for informer in self._components:
            informer.listen(self._changed)

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._components:
                tasks.create_task(informer.run())
            tasks.create_task(self._keep())

    def plans(self) -> dict[str, Planned]:
        """The schedules that are wanted, by their ids."""
        found: dict[str, Planned] = {}
        for informer in reversed(self._components):
            for obj in informer.objects.values():
                try:
                    component = declared.component(obj)
                except UserFailure:
                    # Its own Delivery has told what is wrong with it.
                    continue
                name = ids.timed_build(component.key)
                found.pop(name, None)
                if name.startswith(self._prefix) and component.schedules and component.source is not None:
                    found[name] = _plan(component)
        return found

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if before is None or after is None or _said(before) != _said(after):
            self._news.set()

    async def _keep(self) -> None:
        for informer in self._components:
            await informer.synced.wait()
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            # Temporal's list may be behind what was changed last: a look soon after sees the rest.
            wait = RETRY_SECONDS if self._news.is_set() else AGAIN_SECONDS
            self._news.clear()
            try:
                await self._schedules.keep(self._prefix, self.plans())
            except Failure as failure:
                log.warning("builds not scheduled", reason=failure.reason, message=failure.message)
                wait = RETRY_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                continue


def _said(obj: Object) -> tuple[object, object]:
    return obj.get("spec"), (obj.get("metadata") or {}).get("annotations")


def _plan(component: Component) -> Planned:
    source = component.source
    assert source is not None  # noqa: S101  (those without are left out)
    repository = normalise(source.url)
    push = Push(
        cause="schedule",
        provider="temporal",
        repository=repository,
        url=source.url,
        ref=f"refs/heads/{source.branch}",
        components=(component.key,),
    )
    return Planned(
        workflow="Delivery",
        argument=push,
        crons=component.schedules,
        jitter=JITTER_SECONDS,
        catch_up=CATCH_UP_SECONDS,
        note=f"Build {component.key} as scheduled",
        attributes=TypedSearchAttributes(
            [SearchAttributePair(_COMPONENT, str(component.key)), SearchAttributePair(_REPOSITORY, repository)]
        ),
    )
