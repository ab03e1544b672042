"""The watch that turns an edited ReleaseBinding into a promotion, and tells of a deleted one.

Safe to restart and to run twice: an edit's Rebinding has an id that names the object's uid and generation, and
what was answered is in the binding's status. Our own mirror writes are told by their field manager.
"""

import asyncio

import structlog

from activities.informer import Object
from model import ids, rebinding
from model.failure import Failure
from model.rebinding import RebindingRequest
from triggers.declared import Declared
from triggers.runs import Runs
from workflows.attributes import attributes

BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
DONE_KEPT = 10_000

log = structlog.get_logger(__name__)


class BindingWatch:
    """Starts a Rebinding for every ReleaseBinding that somebody else writes or deletes."""

    def __init__(self, runs: Runs, declared: Declared) -> None:
        self._runs = runs
        self._declared = declared
        self._pending: dict[str, RebindingRequest] = {}
        self._done: dict[str, None] = {}
        self._news = asyncio.Event()

    def changed(self, before: Object | None, after: Object | None) -> None:
        """A binding is new, has changed or is gone; returns at once."""
        asked = rebinding.edited(after) if after is not None else rebinding.deleted(before or {"metadata": {}})
        if asked is None:
            return
        version = "deleted" if asked.deleted else str(asked.generation)
        workflow = ids.rebinding(asked.component, asked.environment, asked.uid, version)
        if workflow not in self._done:
            self._pending[workflow] = asked
            self._news.set()

    async def run(self) -> None:
        """Start Rebindings for ever; while Temporal cannot be reached, wait and try again."""
        await self._declared.components_read()
        failures = 0
        while True:
            await self._news.wait()
            if not self._pending:
                self._news.clear()
                continue
            workflow, asked = next(iter(self._pending.items()))
            try:
                await self._start(workflow, asked)
            except Failure as failure:
                log.warning("edited ReleaseBinding waits", workflow=workflow, reason=failure.reason)
                await asyncio.sleep(BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)])
                failures += 1
                continue
            failures = 0
            self._done[workflow] = None
            while len(self._done) > DONE_KEPT:
                del self._done[next(iter(self._done))]
            self._pending.pop(workflow, None)

    async def _start(self, workflow: str, asked: RebindingRequest) -> None:
        if asked.deleted and self._declared.component(asked.component) is None:
            # It went with its component; the Teardown tells.
            return
        started = await self._runs.start(
            "Rebinding",
            asked,
            workflow,
            workflow,
            attributes(component=str(asked.component), environment=asked.environment, stage="rebinding"),
            f"ReleaseBinding {asked.binding}: {asked.release or 'deleted'}"[:200],
        )
        log.info("ReleaseBinding edited", workflow=workflow, manager=asked.manager, started=started)
