"""A worker's process: serve one plane until told to stop, then finish what is at hand."""

import asyncio
import signal

import structlog

from worker.connection import connect
from worker.logs import configure
from worker.planes import Plane, serving
from worker.settings import Settings

log = structlog.get_logger(__name__)


async def run(plane: Plane, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; activities get a short grace to hand over.

    Raises:
        RuntimeError: Temporal could not be reached at the start.
    """
    configure(settings.log_level, settings.log_format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    client = await connect(settings, f"towpath-{plane}-worker")
    async with serving(plane, client, settings) as worker, worker:
        log.info("worker serves", plane=plane, queue=worker.task_queue, namespace=client.namespace)
        await stop.wait()
        log.info("worker stops", plane=plane)
