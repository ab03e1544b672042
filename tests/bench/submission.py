"""Webhook to Argo Workflow: one at a time, and many at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from activities.argo import API_VERSION, KIND
from model import labels
from tests.bench.ground import BUILDER, NAMESPACE, Ground, NotInTime
from tests.bench.origin import Origin
from tests.bench.plane import idle
from tests.bench.samples import Row, Samples, told
from tests.bench.sender import Sent, now, send

BUILD_NAMESPACE = "towpath-build-plane"
AT_ONCE = 32
BRANCH = "bench"
FILES = {"Dockerfile": "FROM scratch\n"}


class Seen:
    """When Argo Workflows of our components were first seen, by component and commit."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], float] = {}
        self.names: dict[tuple[str, str], set[str]] = {}
        self.news = asyncio.Event()
        self.synced = asyncio.Event()

    async def follow(self, ground: Ground) -> None:
        """Watch for ever."""
        ours = labels.query({labels.NAMESPACE: NAMESPACE})
        async for change in ground.cluster.watch(API_VERSION, KIND, BUILD_NAMESPACE, labels=ours):
            if change.type == "SYNCED":
                self.synced.set()
            if change.type != "ADDED":
                continue
            metadata = change.object["metadata"]
            which = metadata["labels"][labels.COMPONENT], metadata["labels"].get(labels.COMMIT, "")
            self.first.setdefault(which, now())
            self.names.setdefault(which, set()).add(metadata["name"])
            self.news.set()

    async def all_of(self, wanted: set[tuple[str, str]], seconds: float) -> None:
        """Wait until each has been seen.

        Raises:
            NotInTime: some were not.
        """
        deadline = time.monotonic() + seconds
        while missing := wanted - self.first.keys():
            self.news.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self.news.wait()
            except TimeoutError:
                raise NotInTime(f"{len(missing)} of {len(wanted)} Argo Workflows within {seconds:.0f} s") from None


@contextlib.asynccontextmanager
async def watched(ground: Ground) -> AsyncIterator[Seen]:
    """The cluster's Argo Workflows of ours, as they appear."""
    seen = Seen()
    following = asyncio.create_task(seen.follow(ground))
    try:
        await seen.synced.wait()
        yield seen
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def branch_of(number: int) -> str:
    """The branch and the name of a component: they are the same."""
    return f"{BRANCH}-{number:03d}"


async def declare(ground: Ground, origin: Origin, numbers: range) -> None:
    """Components that follow a branch each, and wait until the engine has taken note of all."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await ground.declare(branch_of(number), component_spec(origin.url, branch_of(number), "Workflow"))

    await asyncio.gather(*(one(number) for number in numbers))

    async def observed() -> bool:
        objects = await ground.cluster.list("openchoreo.dev/v1alpha1", "Component", NAMESPACE)
        told_ = [obj for obj in objects if (obj.get("status") or {}).get("observedGeneration")]
        return len(told_) >= len(numbers)

    await ground.until("the components' first look", 240, observed, pause=0.5)


def component_spec(url: str, branch: str, builders: str, builder: str = BUILDER) -> dict[str, Any]:
    """A component that follows a branch; `builders` of kind Workflow are ours, of ClusterWorkflow the stack's."""
    return {
        "owner": {"projectName": "default"},
        "componentType": {"kind": "ClusterComponentType", "name": "deployment/service"},
        "autoBuild": True,
        "autoDeploy": True,
        "workflow": {
            "kind": builders,
            "name": builder,
            "parameters": {"repository": {"url": url, "revision": {"branch": branch}}},
        },
    }


async def one_by_one(ground: Ground, origin: Origin, seen: Seen, count: int) -> Row:
    """A push, its object, its end; then the next."""
    times, answers, floor = Samples(), Samples(), Samples()
    # The first one waits for the plane's worker to come up, and for connections.
    for number in range(-1, count):
        branch = branch_of(max(number, 0))
        before = origin.heads().get(branch, "")
        after = origin.move([branch], {**FILES, "version": uuid4().hex}, "One push")[branch]
        sent = await send(ground, origin.url, branch, before, after)
        await seen.all_of({(branch, after)}, 20)
        if number < 0:
            continue
        times.add(seen.first[branch, after] - sent.at)
        answers.add(sent.took)
        await asyncio.sleep(0.1)
        floor.add(await _bare(ground, seen))
        await asyncio.sleep(0.1)
    return Row(
        what=f"webhook → Argo Workflow exists ({count}, paced)",
        measured=str(times),
        floor=f"bare create → seen: {floor}",
        target="p50 < 60 ms, p99 < 250 ms",
        met=times.median < 60 and times.at(0.99) < 250,
        numbers={
            "p50_ms": times.median,
            "p99_ms": times.at(0.99),
            "floor_p50_ms": floor.median,
            "answered_p50_ms": answers.median,
        },
    )


async def at_once(ground: Ground, origin: Origin, seen: Seen, count: int) -> Row:
    """As many pushes as there are components, 32 senders side by side."""
    branches = [branch_of(number) for number in range(count)]
    before = origin.heads()
    after = origin.move(branches, {**FILES, "version": uuid4().hex}, "A burst")
    bare = await _bare_burst(ground, count)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(branch: str) -> Sent:
        async with gate:
            return await send(ground, origin.url, branch, before.get(branch, ""), after[branch])

    begun = now()
    sent = await asyncio.gather(*(one(branch) for branch in branches))
    answered = now() - begun
    accepted = sum(each.status == 202 for each in sent)
    wanted = {(branch, after[branch]) for branch in branches}
    notes = [f"{accepted} of {count} accepted within {told(answered)}"]
    try:
        await seen.all_of(wanted, 180)
    except NotInTime as late:
        notes.append(str(late))
    there = [seen.first[which] for which in wanted if which in seen.first]
    twice = sum(len(seen.names[which]) > 1 for which in wanted if which in seen.names)
    last = max(there) - begun if there else float("nan")
    return Row(
        what=f"{count} webhooks at once → all Argo Workflows exist",
        measured=f"{told(last)}, {len(there)} of {count}, {twice} twice",
        floor=f"bare creates, {AT_ONCE} side by side: {told(bare)}",
        target="≤ 20 s, once each",
        met=len(there) == count and not twice and last <= 20_000,
        notes=notes,
        numbers={"all_ms": last, "exist": len(there), "twice": twice, "floor_ms": bare, "answered_ms": answered},
    )


async def clear(ground: Ground) -> None:
    """End our runs without a word, then remove their objects."""
    ours = f"TowpathComponent STARTS_WITH '{NAMESPACE}/{BRANCH}-' AND ExecutionStatus = 'Running'"
    gate = asyncio.Semaphore(AT_ONCE)

    async def end(workflow: str) -> None:
        async with gate:
            with contextlib.suppress(Exception):
                await ground.temporal.get_workflow_handle(workflow).terminate("the bench is over")

    runs = [
        run.id async for run in ground.temporal.list_workflows(f"WorkflowType IN ('Delivery','Build') AND {ours}")
    ]
    await asyncio.gather(*(end(run) for run in runs))
    ours = labels.query({labels.NAMESPACE: NAMESPACE})
    await ground.delete_all(API_VERSION, KIND, BUILD_NAMESPACE, ours)


async def _bare(ground: Ground, seen: Seen) -> float:
    """The same object, made by this process."""
    which = ("bare", uuid4().hex)
    at = now()
    await ground.cluster.create(_object(*which))
    await seen.all_of({which}, 10)
    return seen.first[which] - at


async def _bare_burst(ground: Ground, count: int) -> float:
    gate = asyncio.Semaphore(AT_ONCE)
    branch = uuid4().hex

    async def one(number: int) -> None:
        async with gate:
            await ground.cluster.create(_object("bare", f"{branch}{number:03d}"))

    begun = now()
    await asyncio.gather(*(one(number) for number in range(count)))
    return now() - begun


def _object(component: str, commit: str) -> dict[str, Any]:
    """An Argo Workflow of about the size of a build's."""
    made = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": f"{component}-{commit}",
            "namespace": BUILD_NAMESPACE,
            "labels": {labels.NAMESPACE: NAMESPACE, labels.COMPONENT: component, labels.COMMIT: commit},
        },
        "spec": {
            "entrypoint": "build",
            "serviceAccountName": "towpath-build",
            "templates": [
                {
                    "name": "build",
                    "container": {
                        "image": "none",
                        "command": ["python3", "-m", "deploy.builder"],
                        "env": [{"name": "TOWPATH_PLAN", "value": "e" * 700}],
                        "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
                    },
                }
            ],
        },
    }
    return idle(made)


__all__ = ["Seen", "at_once", "clear", "component_spec", "declare", "one_by_one", "watched"]
