"""Webhook to 202: what an accepted push costs beside the one call to Temporal that makes it durable."""

import asyncio
import secrets
import time

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from model import ids
from model.push import Push
from model.repository import normalise
from tests.bench.ground import Ground
from tests.bench.origin import Origin
from tests.bench.samples import Row, Samples, told
from tests.bench.sender import send
from workflows.attributes import attributes
from workflows.delivery import Delivery

BRANCH = "nobody-follows"
WARM_UP = 5
PAUSE_SECONDS = 0.05


async def measure(ground: Ground, origin: Origin, count: int) -> Row:
    """Webhooks and bare calls in turn, so that both see the same machine."""
    webhooks, floor = Samples(), Samples()
    refused = 0
    for number in range(WARM_UP + count):
        sent = await send(ground, origin.url, BRANCH, "", secrets.token_hex(20))
        await asyncio.sleep(PAUSE_SECONDS)
        begun = time.perf_counter()
        await bare_start(ground, origin)
        bare = (time.perf_counter() - begun) * 1000
        await asyncio.sleep(PAUSE_SECONDS)
        refused += sent.status != 202
        if number >= WARM_UP:
            webhooks.add(sent.took)
            floor.add(bare)
    met = not refused and webhooks.median <= 2 * floor.median and webhooks.at(0.99) < 100
    return Row(
        what=f"webhook → 202, durable ({count}, paced)",
        measured=str(webhooks),
        floor=f"bare start_workflow: {floor}",
        target=f"p50 ≤ twice the floor ({told(2 * floor.median)}), p99 < 100 ms",
        met=met,
        notes=[f"{refused} refused"] if refused else [],
        numbers={
            "p50_ms": webhooks.median,
            "p99_ms": webhooks.at(0.99),
            "floor_p50_ms": floor.median,
            "floor_p99_ms": floor.at(0.99),
        },
    )


async def bare_start(ground: Ground, origin: Origin) -> str:
    """The very call that the server makes, by this process; answers the workflow's id."""
    repository, commit = normalise(origin.url), secrets.token_hex(20)
    push = Push(
        provider="git", repository=repository, url=origin.url, ref=f"refs/heads/{BRANCH}", after=commit, sequence=1
    )
    workflow = ids.push(repository, push.ref, commit)
    await ground.temporal.start_workflow(
        Delivery.run,
        push,
        id=workflow,
        task_queue=ids.CONTROL_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=attributes(repository=repository, commit=commit, stage="accepted"),
        static_summary="Bare start of a bench",
    )
    return workflow
