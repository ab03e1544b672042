"""Heartbeats of long activities: how Temporal sees a dead worker, and how a cancellation arrives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import activity

INTERVAL_SECONDS = 1.0


@asynccontextmanager
async def beating(details: Callable[[], Any] | None = None) -> AsyncIterator[None]:
    """Heartbeat every second inside the block, with what `details` gives at that moment.

    What it gives is what the next try of the same activity finds (`heartbeat_details`).
    """

    async def beat() -> None:
        while True:
            activity.heartbeat(*([details()] if details else []))
            await asyncio.sleep(INTERVAL_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
