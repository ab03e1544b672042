"""Webhooks in an open loop: each is sent when its time has come, whether or not those before were answered.

So a server that falls behind is seen to: a closed loop would politely slow down with it.
"""

import asyncio
import math
import secrets
import time
from dataclasses import dataclass, field

import aiohttp
from temporalio.client import WorkflowExecutionStatus

from deploy.local.engine import SERVER
from deploy.local.progress import Quiet
from deploy.local.settings import Settings
from deploy.local.supervisor import Supervisor
from tests.bench.ground import Ground
from tests.bench.ingest import bare_start
from tests.bench.origin import Origin
from tests.bench.samples import Row, Samples, told
from tests.bench.sender import send
from tests.bench.waiting import peak_bytes

BRANCH = "nobody-follows"
RATES = (10, 20, 40, 60, 80, 120, 160, 240, 320)
STEP_SECONDS = 5
QUICK_MS = 250.0
"""An answer that takes longer counts as one of a server that falls behind."""
BURST = 1000
OVERLOAD = 3
OVERLOAD_SECONDS = 10
BARE = 600
BARE_AT_ONCE = 32
DRAIN_SECONDS = 600
SENDER_PATIENCE = 30


@dataclass
class Step:
    """What came of a rate that was held for a while. Latencies count from when a webhook was due."""

    rate: float
    answers: Samples = field(default_factory=Samples)
    accepted: set[str] = field(default_factory=set)
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0

    @property
    def achieved(self) -> float:
        """Accepted a second, until the last answer."""
        return len(self.accepted) / self.seconds if self.seconds else math.nan

    @property
    def kept_up(self) -> bool:
        """Whether the server was not seen to fall behind."""
        return not (self.refused or self.broken) and self.answers.at(0.99) <= QUICK_MS


async def measure(ground: Ground, origin: Origin) -> list[Row]:
    """The knee and the sustained rate, a burst, and an overload with its drain."""
    bare = await _bare_rate(ground, origin)
    steps: list[Step] = []
    for rate in RATES:
        steps.append(await _hold(ground, origin, rate, STEP_SECONDS))
        if steps[-1].achieved < 0.7 * rate:
            break
    kept = [step for step in steps if step.kept_up]
    knee = kept[-1] if kept else steps[0]
    sustained = max(step.achieved for step in steps)
    await _drained(ground, set().union(*(step.accepted for step in steps)))
    rows = [
        Row(
            what=f"webhooks, open loop, {STEP_SECONDS} s a rate",
            measured=f"sustained {sustained:.0f}/s; knee {knee.rate:g}/s: {knee.answers}",
            floor=f"bare start_workflow, {BARE_AT_ONCE} side by side: {bare:.0f}/s",
            target=f"sustained ≥ 0.8 of the floor ({0.8 * bare:.0f}/s)",
            met=sustained >= 0.8 * bare,
            notes=[_line(step) for step in steps],
            numbers={
                "sustained_per_s": sustained,
                "knee_per_s": knee.rate,
                "knee_p50_ms": knee.answers.median,
                "knee_p99_ms": knee.answers.at(0.99),
                "bare_per_s": bare,
            },
        )
    ]
    burst = await _hold(ground, origin, BURST, 1)
    rows.append(await _row(ground, burst, f"a burst of {BURST} webhooks within a second"))
    flood = OVERLOAD * sustained
    overload = await _hold(ground, origin, flood, OVERLOAD_SECONDS)
    what = f"{OVERLOAD} times the sustained rate ({flood:.0f}/s) for {OVERLOAD_SECONDS} s"
    rows.append(await _row(ground, overload, what))
    return rows


async def _hold(ground: Ground, origin: Origin, rate: float, seconds: float) -> Step:
    """Send at a rate, each at its time."""
    step = Step(rate)
    count = round(rate * seconds)
    begun = time.monotonic()
    times: list[float] = []

    async def one(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        try:
            async with asyncio.timeout(SENDER_PATIENCE):
                sent = await send(ground, origin.url, BRANCH, "", secrets.token_hex(20))
        except (TimeoutError, aiohttp.ClientError):
            # The sender knows nothing: it would send again. Never counted as accepted.
            step.broken += 1
            return
        times.append((time.monotonic() - due) * 1000)
        if sent.status == 202:
            step.accepted.add(sent.workflow)
        else:
            step.refused += 1

    await asyncio.gather(*(one(number) for number in range(count)))
    step.seconds = time.monotonic() - begun
    step.answers = Samples(times)
    return step


async def _row(ground: Ground, step: Step, what: str) -> Row:
    """Whether everything that was accepted is there, and how long it takes until all has been worked off."""
    sent = len(step.accepted) + step.refused + step.broken
    begun = time.monotonic()
    lost = await _drained(ground, step.accepted)
    drained = time.monotonic() - begun
    peak = server_peak_bytes(ground.settings)
    return Row(
        what=what,
        measured=(
            f"{len(step.accepted)} of {sent} accepted, {step.refused} refused (503), {step.broken} unanswered, "
            f"{lost} lost; {step.answers}"
        ),
        floor=f"worked off {told(drained * 1000)} after the last answer",
        target="lost = 0",
        met=lost == 0,
        notes=[f"server at most {peak / 2**20:.0f} MiB"],
        numbers={
            "accepted": len(step.accepted),
            "refused": step.refused,
            "unanswered": step.broken,
            "lost": lost,
            "drain_s": drained,
            "p99_ms": step.answers.at(0.99),
            "server_peak_bytes": peak,
        },
    )


async def _drained(ground: Ground, accepted: set[str]) -> int:
    """Wait until every accepted push has been taken care of; answers how many there is no trace of."""
    gate = asyncio.Semaphore(BARE_AT_ONCE)
    lost = 0

    async def one(workflow: str) -> None:
        nonlocal lost
        handle = ground.temporal.get_workflow_handle(workflow)
        async with gate:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    # Long polls, so that waiting for the end costs next to nothing.
                    await handle.result()
                if (await handle.describe()).status != WorkflowExecutionStatus.COMPLETED:
                    lost += 1
            except Exception:
                lost += 1

    await asyncio.gather(*(one(workflow) for workflow in accepted))
    return lost


async def _bare_rate(ground: Ground, origin: Origin) -> float:
    """What Temporal itself takes of the very same starts, with the same workers behind it."""
    gate = asyncio.Semaphore(BARE_AT_ONCE)
    started: set[str] = set()

    async def one() -> None:
        async with gate:
            started.add(await bare_start(ground, origin))

    begun = time.monotonic()
    await asyncio.gather(*(one() for _ in range(BARE)))
    rate = BARE / (time.monotonic() - begun)
    await _drained(ground, started)
    return rate


def server_peak_bytes(settings: Settings) -> int:
    """The most memory that the server's process has had."""
    pid = Supervisor(settings, Quiet()).pid(SERVER)
    assert pid is not None, "the server does not run"
    return peak_bytes(pid)


def _line(step: Step) -> str:
    lost = f", {step.refused} refused, {step.broken} unanswered" if step.refused or step.broken else ""
    return f"{step.rate:g}/s: {step.achieved:.0f}/s accepted, {step.answers}{lost}"
