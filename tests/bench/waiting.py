"""Many releases that wait for people: what a control worker takes while nothing moves.

`python -m tests.bench.waiting` is the worker: the product's own, with its limits, its guard and its cache, over
scripted activities, in a Temporal namespace of the bench. Every release is another component's, so that each has
its Promotion and its Lane, and all wait for an approval.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio import activity
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.client import Client

from activities.lanes import Lanes
from activities.standings import Standings
from deploy.local import credentials
from deploy.local.process import resident_bytes
from deploy.local.settings import Settings as StackSettings
from model import ids
from model.component import Component
from model.key import ComponentKey
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.promotion import PromotionRequest
from model.release import Release
from tests.bench.ground import NotInTime
from tests.bench.samples import Row
from tests.temporal_namespace import client_of
from tests.workflows.world import World, release
from worker.connection import connect
from worker.guard import Guard
from worker.keys import proof_keys, seal_keys
from worker.logs import configure
from worker.planes import WORKFLOWS, _worker
from worker.settings import Settings
from workflows.promotion import Promotion

GATED = Pipeline(
    name="waiting",
    steps=(EnvironmentStep(environment="production", production=True, policy=StepPolicy(approvals=1)),),
)
# A promotion enters itself as a candidate of the lane, which starts with that.
AT_GATES = "WorkflowType = 'Lane' AND ExecutionStatus = 'Running'"
AT_ONCE = 60
STARTED_TOGETHER = 1000
STALLED_SECONDS = 180
IDLE_SECONDS = 30
QUIET_PERCENT = 3.0
SETTLE_SECONDS = 60
MEMORY_LIMIT = 400 * 1024 * 1024
CPU_LIMIT = 1.0


class _Telling:
    """What promotions need of Temporal; a worker takes every activity of an instance, and the world has others."""

    def __init__(self, client: Client) -> None:
        self.request = Lanes(client).request


class Waiting(World):
    """A world in which every component exists."""

    @activity.defn(name="resources.component")
    async def component(self, key: ComponentKey) -> Component | None:
        return Component(key=key)


async def measure(settings: StackSettings, count: int) -> Row:
    """Start them, wait until nothing moves, and look at the worker for half a minute."""
    # Of its own each time: servers remember for seconds what a deleted name stood for.
    namespace = f"towpath-bench-{int(time.time())}"
    client = await client_of(settings, namespace)
    try:
        with _served(settings, namespace) as worker:
            await _at_gates(client, range(1))
            empty = resident_bytes(worker)
            begun = time.monotonic()
            await _at_gates(client, range(1, count))
            took = time.monotonic() - begun
            await _quiet(worker)
            percent = await _percent(worker, IDLE_SECONDS)
            used, peak = resident_bytes(worker), peak_bytes(worker)
    finally:
        await client.operator_service.delete_namespace(DeleteNamespaceRequest(namespace=namespace))
    return Row(
        what=f"{count} promotions wait at gates",
        measured=f"worker {_told(used)}, {percent:.2f} % of a core over {IDLE_SECONDS} s",
        floor=f"with one waiting: {_told(empty)}",
        target=f"worker < {_told(MEMORY_LIMIT)}, idle CPU < {CPU_LIMIT:.0f} %",
        met=used < MEMORY_LIMIT and percent < CPU_LIMIT,
        notes=[f"{2 * count} workflows, at their gates within {took:.0f} s; at most {_told(peak)} meanwhile"],
        numbers={"memory_bytes": used, "cpu_percent": percent, "peak_bytes": peak, "start_seconds": took},
    )


async def _at_gates(client: Client, numbers: range) -> None:
    """Start promotions, a thousand at a time, and wait until each stands before its gate.

    Raises:
        NotInTime: for three minutes none more has got there.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        wanted = _release(number)
        async with gate:
            await client.start_workflow(
                Promotion.run,
                PromotionRequest(release=wanted),
                id=ids.promotion(wanted.component, wanted.name),
                task_queue=ids.CONTROL_QUEUE,
            )

    for first in range(numbers.start, numbers.stop, STARTED_TOGETHER):
        stop = min(first + STARTED_TOGETHER, numbers.stop)
        await asyncio.gather(*map(start, range(first, stop)))
        there, since = -1, time.monotonic()
        while there < stop:
            counted = (await client.count_workflows(AT_GATES)).count
            if counted > there:
                there, since = counted, time.monotonic()
            if time.monotonic() - since > STALLED_SECONDS:
                raise NotInTime(f"{there} of {stop} promotions at their gates: no more of them come")
            await asyncio.sleep(0.5)
        if stop > 1:
            print(f"  {stop} at their gates", file=sys.stderr, flush=True)


def _release(number: int) -> Release:
    key = ComponentKey(namespace="bench", name=f"waits-{number}")
    return release(number + 1).model_copy(update={"component": key, "name": f"{key.name}-1"})


async def _quiet(worker: int) -> None:
    """Until what the last starts left behind is done."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while await _percent(worker, 3) > QUIET_PERCENT and time.monotonic() < deadline:
        pass


async def _percent(worker: int, seconds: float) -> float:
    """Processor time that a process uses, in percent of one core."""
    before = _cpu_seconds(worker)
    await asyncio.sleep(seconds)
    return (_cpu_seconds(worker) - before) / seconds * 100


def _cpu_seconds(worker: int) -> float:
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(worker: int) -> int:
    """The most memory that a process has had."""
    lines = Path(f"/proc/{worker}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _told(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"


@contextmanager
def _served(settings: StackSettings, namespace: str) -> Iterator[int]:
    """The worker's process; its pid."""
    environment = {
        "PATH": os.environ["PATH"],
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_NAMESPACE": namespace,
        "TOWPATH_PROOF_KEYS": str(credentials.proof_keys(settings)),
        "TOWPATH_SEAL_KEYS": str(credentials.seal_keys(settings)),
        "TOWPATH_LOG_LEVEL": "WARNING",
    }
    with (
        (settings.logs / "bench-waiting.log").open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.waiting"], env=environment, stdout=output, stderr=output
        ) as worker,
    ):
        try:
            yield worker.pid
        finally:
            worker.terminate()
            worker.wait(20)


async def main() -> None:
    """Be the worker until told to stop."""
    settings = Settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    configure(settings.log_level, settings.log_format)
    client = await connect(settings, "towpath-bench-waiting")
    world = Waiting(pipeline=GATED)
    guard = Guard(proof_keys(settings.proof_keys), seal_keys(settings.seal_keys))
    instances = (world, _Telling(client), Standings(client, world))
    async with _worker(client, ids.CONTROL_QUEUE, instances, workflows=WORKFLOWS, guards=(guard,)):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
