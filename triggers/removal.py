"""The watch that turns a deleted component into its clean-up.

Deletions that happened while nobody watched are found at the start: lanes that still run for a component
that is not declared any more.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from model import ids
from model.component import Component
from model.failure import Failure
from model.key import ComponentKey
from model.teardown import TeardownRequest
from triggers.declared import Declared, DeclaredComponent
from triggers.runs import Runs
from workflows.attributes import attributes

PAUSE_LIMIT_SECONDS = 10.0
MISSED = "missed"

log = structlog.get_logger(__name__)


class RemovalWatch:
    """Starts a Teardown for every component that goes."""

    def __init__(self, runs: Runs, declared: Declared) -> None:
        self._runs = runs
        self._declared = declared
        self._gone: dict[ComponentKey, str] = {}
        self._news = asyncio.Event()

    def removed(self, declared: DeclaredComponent) -> None:
        """A component's object was deleted; returns at once."""
        self._gone[declared.key] = str(declared.object["metadata"].get("uid") or MISSED)
        self._news.set()

    async def run(self) -> None:
        """Look once for what was missed, then start Teardowns for ever; Temporal is waited for."""
        await self._declared.components_read()
        await self._done(self._find_missed)
        while True:
            await self._news.wait()
            self._news.clear()
            for key, uid in list(self._gone.items()):
                await self._done(functools.partial(self._tear_down, key, uid))

    async def _find_missed(self) -> None:
        for key in await self._runs.lanes():
            if self._declared.component(key) is None and key not in self._gone:
                self._gone[key] = MISSED
                self._news.set()

    async def _tear_down(self, key: ComponentKey, uid: str) -> None:
        if self._declared.component(key) is None:
            workflow = ids.teardown(key, uid)
            await self._runs.start(
                "Teardown",
                TeardownRequest(component=Component(key=key)),
                workflow,
                uid,
                attributes(component=str(key), stage="removing"),
                f"Take down {key}"[:200],
                again=True,
            )
            log.info("component deleted", component=str(key), workflow=workflow)
        self._gone.pop(key, None)

    async def _done(self, step: Callable[[], Awaitable[None]]) -> None:
        """Try a step until Temporal has taken it."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Failure),
            wait=wait_exponential(max=PAUSE_LIMIT_SECONDS),
            before_sleep=_say_why,
        ):
            with attempt:
                await step()


def _say_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Failure):
        log.warning("deleted component waits", reason=error.reason, message=error.message)
