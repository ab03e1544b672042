"""A build plane whose Argo Workflows are made suspended, so that objects are measured and not pods.

Everything else is the product's own: `python -m tests.bench.plane` is a build worker of plane `bench`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from activities.apiserver import ApiServer
from activities.registry import Registry
from deploy.local.engine import worker_name
from deploy.local.progress import Quiet
from deploy.local.settings import Settings as StackSettings
from deploy.local.stack import Stack
from tests.bench.ground import PLANE
from worker.connection import connect
from worker.logs import configure
from worker.planes import build_worker
from worker.settings import Settings


class Suspending(ApiServer):
    """Makes Argo Workflows that nobody runs."""

    async def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Create it, as `idle` if it is an Argo Workflow."""
        return await super().create(idle(obj) if obj["kind"] == "Workflow" else obj)


def idle(workflow: dict[str, Any]) -> dict[str, Any]:
    """An Argo Workflow that is suspended, and another controller's: suspended ones as well take the places of
    other people's builds."""
    metadata = workflow["metadata"]
    labelled = {**metadata["labels"], "workflows.argoproj.io/controller-instanceid": PLANE}
    return {
        **workflow,
        "metadata": {**metadata, "labels": labelled},
        "spec": {**workflow["spec"], "suspend": True},
    }


@contextmanager
def served(settings: StackSettings) -> Iterator[None]:
    """The plane's worker as a process of its own, with the environment of the stack's build worker."""
    services = Stack(settings, Quiet()).services()
    like = next(service for service in services if service.name == worker_name("build"))
    environment = {"PATH": os.environ["PATH"], **like.env, "TOWPATH_PLANE": PLANE, "TOWPATH_METRICS_LISTEN": ""}
    log = settings.logs / "bench-plane.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.plane"], env=environment, stdout=output, stderr=output
        ) as worker,
    ):
        try:
            yield
        finally:
            worker.terminate()
            worker.wait(20)


async def main() -> None:
    """Serve the plane until told to stop."""
    settings = Settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    configure(settings.log_level, settings.log_format)
    client = await connect(settings, "towpath-bench-plane")
    server = await Suspending.connect(settings.kubeconfig)
    registry = Registry(settings.registry, insecure=settings.registry_insecure)
    try:
        async with build_worker(client, settings, server, registry):
            await stop.wait()
    finally:
        await registry.close()
        await server.close()


if __name__ == "__main__":
    asyncio.run(main())
