"""From a push to production and back: real builds, real pods, times from Temporal's histories."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import deploy.demo
from activities.argo import API_VERSION, KIND
from activities.argostatus import has_begun, has_delivered
from model import ids, labels, names
from tests.bench.ground import NAMESPACE, Ground
from tests.bench.origin import Origin
from tests.bench.samples import Row, Samples, told
from tests.bench.sender import now, send
from tests.bench.submission import BUILD_NAMESPACE, component_spec
from tests.bench.timeline import Timeline

NAME = "journey"
APP = Path(deploy.demo.__file__).parent / "apps" / "hello-world"
FIRST = "development"
GATED = "production"


@dataclass
class Noted:
    """When things were seen in the cluster: builds by commit, crashes by pod."""

    begun: dict[str, float] = field(default_factory=dict)
    delivered: dict[str, float] = field(default_factory=dict)
    replica_sets: dict[str, float] = field(default_factory=dict)
    crashes: dict[str, float] = field(default_factory=dict)

    async def builds(self, ground: Ground) -> None:
        """Argo's own share of builds: from seen to delivered."""
        mine = labels.query({labels.NAMESPACE: NAMESPACE, labels.COMPONENT: NAME})
        async for change in ground.cluster.watch(API_VERSION, KIND, BUILD_NAMESPACE, labels=mine):
            if change.type in ("ADDED", "MODIFIED"):
                commit = change.object["metadata"]["labels"][labels.COMMIT]
                self.begun.setdefault(commit, now())
                if has_begun(change.object) and has_delivered(change.object):
                    self.delivered.setdefault(commit, now())

    async def pods(self, ground: Ground) -> None:
        """First exits of containers in development."""
        namespace = names.data_namespace(NAMESPACE, "default", FIRST)
        async for change in ground.cluster.watch("v1", "Pod", namespace):
            if change.type not in ("ADDED", "MODIFIED"):
                continue
            name = change.object["metadata"]["name"]
            self.replica_sets.setdefault(name, now())
            for container in (change.object.get("status") or {}).get("containerStatuses") or []:
                states = (container.get("state") or {}), (container.get("lastState") or {})
                if any((state.get("terminated") or {}).get("exitCode") for state in states):
                    self.crashes.setdefault(name, now())


@contextlib.asynccontextmanager
async def noted(ground: Ground) -> AsyncIterator[Noted]:
    """The cluster's news for as long as the block lasts."""
    seen = Noted()
    tasks = [asyncio.create_task(seen.builds(ground)), asyncio.create_task(seen.pods(ground))]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(ground: Ground, count: int) -> list[Row]:
    """`count` good pushes through to production, then one that crashes."""
    origin = Origin(ground.settings, "bench/journey")
    first = origin.move(["main"], _files(), "The first")["main"]
    await ground.declare(NAME, component_spec(origin.url, "main", "ClusterWorkflow", "nodejs-buildpack"))
    await _arrives(ground, first, FIRST)
    totals, shares, builds, rollouts, gates = Samples(), Samples(), Samples(), Samples(), Samples()
    async with noted(ground) as seen:
        head = first
        for _ in range(count):
            gates.add(await _approve(ground, head))
            head, delivery = await _push(ground, origin, head)
            await _arrives(ground, head, FIRST)
            spent = await _spent(ground, seen, head, delivery)
            for samples, value in zip((totals, shares, builds, rollouts), spent, strict=True):
                samples.add(value)
        back = await _crash(ground, origin, seen, head)
    return [_healthy_row(totals, shares, builds, rollouts), _gate_row(gates), back]


async def _push(ground: Ground, origin: Origin, before: str, **version: Any) -> tuple[str, str]:
    after = origin.move(["main"], _files(**version), "One push")["main"]
    sent = await send(ground, origin.url, "main", before, after)
    return after, sent.workflow


async def _promotion(ground: Ground, commit: str) -> dict[str, Any] | None:
    detail = await ground.api("GET", NAME)
    failed = [build for build in detail["builds"] if build["commit"] == commit and build["phase"] == "failed"]
    if failed:
        raise RuntimeError(f"the build failed: {failed[0]['reason']}: {failed[0]['message']}")
    return next((each for each in detail["promotions"] if each["release"]["commit"]["id"] == commit), None)


async def _step(ground: Ground, commit: str, environment: str) -> dict[str, Any]:
    walk = await _promotion(ground, commit) or {"steps": []}
    found = [step for step in walk["steps"] if step["environment"] == environment]
    return found[0] if found else {}


async def _arrives(ground: Ground, commit: str, environment: str, phase: str = "healthy") -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        step = await _step(ground, commit, environment)
        if phase == "healthy" and step.get("phase") in ("failed", "rolled-back", "rejected"):
            raise RuntimeError(f"{environment}: {step['phase']}: {step['message']}")
        return step if step.get("phase") == phase else None

    return await ground.until(f"{commit[:7]} {phase} in {environment}", 180, look, pause=0.25)


async def _approve(ground: Ground, commit: str) -> float:
    """From the accepted approval to the moment a worker begins to apply."""
    await _arrives(ground, commit, GATED, "at-gate")
    accepted = await ground.api("POST", f"{NAME}/approve", {"environment": GATED})
    step = await _arrives(ground, commit, GATED)
    promotion = await Timeline.of(ground.temporal, accepted["workflow"])
    rollout = await Timeline.of(ground.temporal, ids.rollout(ground.key(NAME), GATED, step["revision"]))
    yes = promotion.moments("WORKFLOW_EXECUTION_UPDATE_ACCEPTED")[-1]
    return rollout.steps("cluster.apply")[0].started - yes


async def _spent(ground: Ground, seen: Noted, commit: str, delivery: str) -> tuple[float, float, float, float]:
    """In total, by the engine itself, by Argo, and waiting for the rollout and its verification."""
    begun = (await Timeline.of(ground.temporal, delivery)).began
    step = await _step(ground, commit, FIRST)
    rollout = await Timeline.of(ground.temporal, ids.rollout(ground.key(NAME), FIRST, step["revision"]))
    argo = seen.delivered[commit] - seen.begun[commit]
    waits = [*rollout.steps("cluster.watch"), *rollout.steps("verification.verify")]
    waited = sum(wait.took for wait in waits)
    total = rollout.ended - begun
    return total, total - argo - waited, argo, waited


async def _crash(ground: Ground, origin: Origin, seen: Noted, before: str) -> Row:
    """From the first exit of the new release's container to the last good one applied and healthy again."""
    pods = set(seen.replica_sets)
    commit, _ = await _push(ground, origin, before, crash=True)
    step = await _arrives(ground, commit, FIRST, "rolled-back")
    rollout = await Timeline.of(ground.temporal, ids.rollout(ground.key(NAME), FIRST, step["revision"]))
    fresh = [at for pod, at in seen.crashes.items() if pod not in pods]
    applied, returned = rollout.steps("cluster.apply")[0].ended, rollout.steps("cluster.apply")[1].ended
    crashed = min(fresh, default=applied)
    took = rollout.ended - crashed
    return Row(
        what="crash-looping release → last good serving again",
        measured=f"{told(took)} after the first crash",
        floor=f"first crash {told(crashed - applied)} after apply",
        target="≤ 10 s",
        met=took <= 10_000,
        notes=[
            f"last good applied again {told(returned - crashed)} after the first crash; the rest is its stability "
            "window and verification. Its pods never stopped serving."
        ],
        numbers={"back_ms": took, "applied_again_ms": returned - crashed, "first_crash_ms": crashed - applied},
    )


def _healthy_row(totals: Samples, shares: Samples, builds: Samples, rollouts: Samples) -> Row:
    return Row(
        what=f"push → healthy in {FIRST} ({len(totals.values)} pushes)",
        measured=f"{told(totals.median)}, the engine's own share {told(shares.median)}",
        floor=f"Argo {told(builds.median)}, rollout, stability and verification {told(rollouts.median)}",
        target="≤ 15 s, own share ≤ 1.5 s",
        met=totals.median <= 15_000 and shares.median <= 1500,
        numbers={
            "total_ms": totals.median,
            "own_ms": shares.median,
            "own_worst_ms": shares.values[-1],
            "argo_ms": builds.median,
            "rollout_ms": rollouts.median,
        },
    )


def _gate_row(gates: Samples) -> Row:
    return Row(
        what=f"approval → apply begins ({len(gates.values)} approvals)",
        measured=str(gates),
        floor="none: three workflows, one hand-over each",
        target="< 300 ms",
        met=gates.values[-1] < 300,
        numbers={"p50_ms": gates.median, "worst_ms": gates.values[-1]},
    )


def _files(**version: Any) -> dict[str, str]:
    files = {path.name: path.read_text() for path in APP.iterdir()}
    content = {"greeting": f"Bench {uuid4().hex}", "healthy": True, "crash": False, **version}
    return files | {"version.json": json.dumps(content)}
