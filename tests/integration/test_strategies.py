"""Progressive delivery on the real controller of Argo Rollouts, with the data worker's own rights."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.progress import Progress
from model.failure import Conflict, UserFailure
from model.manifests.rollout import beside_name, stable_name
from model.progress import HASH
from model.rollout import Applied, RolloutRequest
from model.route import Weighing
from model.strategy import CanaryStep, Strategy
from model.verdict import Verdict
from tests.integration import test_cluster
from tests.integration.test_cluster import SERVES, Plane, eventually, objects
from tests.rollouts import with_policy

pytestmark = pytest.mark.stack
plane = test_cluster.plane
Object = dict[str, Any]

CANARY = Strategy(kind="canary", steps=(CanaryStep(weight=25), CanaryStep(weight=50)))
BLUE_GREEN = Strategy(kind="blueGreen", scale_down_delay_seconds=1)
CRASHES = "exit 3"
DIES_LATER = SERVES.replace("exec httpd -f", "httpd") + "; sleep 8; exit 3"
NEVER_READY = "sleep 3600"


@pytest.fixture
def progress(plane: Plane) -> Progress:
    return Progress(plane.worker)


def ask(plane: Plane, script: str, strategy: Strategy | None, **more: Any) -> RolloutRequest:
    asked = plane.ask(script, stability=0.5, **more)
    return with_policy(asked, strategy=strategy)


def back(plane: Plane, asked: RolloutRequest) -> RolloutRequest:
    """Going back to what was asked for before, as a later step of the lane."""
    plane.fence += 2
    return asked.model_copy(update={"fence": plane.fence, "going_back": True})


async def watch(plane: Plane, applied: Applied, stop: int = -1) -> Verdict:
    at = applied.model_copy(update={"stop": stop})
    return await asyncio.wait_for(ActivityEnvironment().run(plane.cluster.watch, at), 100)


async def proceed(progress: Progress, applied: Applied, stop: int) -> None:
    await ActivityEnvironment().run(progress.proceed, applied.model_copy(update={"stop": stop}))


async def bring_in(plane: Plane, progress: Progress, asked: RolloutRequest) -> Applied:
    """All the way, every stop passed."""
    applied = await plane.apply(asked)
    for stop in range(applied.stops):
        reached = await watch(plane, applied, stop)
        assert reached.passed, reached
        if reached.reason != "StopReached":
            return applied
        await proceed(progress, applied, stop)
    ended = await watch(plane, applied)
    assert ended.reason == "RolloutStable", ended
    return applied


async def kinds(plane: Plane, asked: RolloutRequest) -> set[str]:
    return {kind for kind, _ in await objects(plane, asked) if kind in ("Deployment", "Rollout")}


async def pods_of(plane: Plane, asked: RolloutRequest) -> list[Object]:
    chosen = f"towpath.dev/release={asked.release.name}"
    found = await plane.admin.list("v1", "Pod", asked.target.namespace, labels=chosen)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


async def served_by(plane: Plane, asked: RolloutRequest, service: str) -> set[str]:
    """The releases whose ready pods a Service leads to."""
    chosen = f"kubernetes.io/service-name={service}"
    slices = await plane.admin.list("discovery.k8s.io/v1", "EndpointSlice", asked.target.namespace, labels=chosen)
    pods = await plane.admin.list("v1", "Pod", asked.target.namespace)
    release = {pod["metadata"]["uid"]: pod["metadata"]["labels"].get("towpath.dev/release", "") for pod in pods}
    return {
        release.get(endpoint["targetRef"]["uid"], "gone")
        for found in slices
        for endpoint in found.get("endpoints") or []
        if endpoint["conditions"].get("ready")
    }


@asynccontextmanager
async def never_unserved(plane: Plane, asked: RolloutRequest) -> AsyncIterator[list[set[str]]]:
    """Look all the time at whom the component's Service leads to; it must always be somebody."""
    service, seen, done = asked.target.component.key.name, list[set[str]](), asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            seen.append(await served_by(plane, asked, service))
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        done.set()
        await looking
    assert seen
    assert all(seen), "the Service led to nobody for a moment"


async def test_a_canary_takes_over_weight_by_weight_and_only_when_told(plane: Plane, progress: Progress) -> None:
    old = ask(plane, SERVES, CANARY, replicas=4)
    await bring_in(plane, progress, old)
    new = ask(plane, SERVES, CANARY, replicas=4)
    applied = await plane.apply(new)
    assert (applied.kind, applied.stops) == ("Rollout", 2)
    shares = []
    for stop in range(2):
        reached = await watch(plane, applied, stop)
        assert (reached.health, reached.reason) == ("healthy", "StopReached")
        shares.append(len(await pods_of(plane, new)))
        checked = await plane.verify(new.model_copy(update={"service": beside_name(new.target, CANARY)}))
        assert checked.reason == "HealthCheckPassed", checked
        assert await served_by(plane, new, beside_name(new.target, CANARY)) == {new.release.name}
        await proceed(progress, applied, stop)
        # Twice is once: it has gone on, and is not pushed past the next stop.
        await proceed(progress, applied, stop)
    assert shares == [1, 2]
    ended = await watch(plane, applied)
    assert (ended.health, ended.reason) == ("healthy", "RolloutStable")
    assert await kinds(plane, new) == {"Rollout"}
    assert len(await pods_of(plane, new)) == 4
    assert (await plane.verify(new)).passed


async def test_a_blue_green_release_gets_no_traffic_before_it_is_told_to_switch_and_leaves_nothing(
    plane: Plane, progress: Progress
) -> None:
    old = ask(plane, SERVES, BLUE_GREEN, replicas=2)
    await bring_in(plane, progress, old)
    new = ask(plane, SERVES, BLUE_GREEN, replicas=2)
    own, preview = old.target.component.key.name, beside_name(new.target, BLUE_GREEN)
    async with never_unserved(plane, new) as seen:
        applied = await plane.apply(new)
        # Applied again, as a worker that died would: the Service must not open to all pods for it.
        applied = await plane.apply(new)
        assert (await watch(plane, applied, 0)).reason == "StopReached"
        assert await served_by(plane, new, preview) == {new.release.name}
        assert {release for look in seen for release in look} == {old.release.name}
        assert (await plane.verify(new.model_copy(update={"service": preview}))).passed
        await proceed(progress, applied, 0)
        assert (await watch(plane, applied)).reason == "RolloutStable"
    assert (await plane.verify(new)).passed
    await eventually(lambda: _is(served_by(plane, new, own), {new.release.name}))
    await plane.remove(new)
    await eventually(lambda: _absent(plane, new))


async def test_going_back_has_no_stops_neither_on_the_way_nor_after_the_end(
    plane: Plane, progress: Progress
) -> None:
    await asyncio.gather(
        _there_and_back(plane, progress, CANARY, "one"), _there_and_back(plane, progress, BLUE_GREEN, "two")
    )


async def _there_and_back(plane: Plane, progress: Progress, strategy: Strategy, component: str) -> None:
    old = ask(plane, SERVES, strategy, replicas=2, component=component)
    await bring_in(plane, progress, old)
    new = ask(plane, SERVES, strategy, replicas=2, component=component)
    async with never_unserved(plane, old):
        applied = await plane.apply(new)
        assert (await watch(plane, applied, 0)).reason == "StopReached"
        await ActivityEnvironment().run(progress.abort, applied.model_copy(update={"stop": 0}))
        seen = await watch(plane, applied, 0)
        assert (seen.health, seen.reason) == ("unhealthy", "RolloutAborted")
        await _returned(plane, old)
        # A zombie of the step that was aborted can move nothing any more.
        with pytest.raises(Conflict, match="comes too late"):
            await proceed(progress, applied, 0)
        again = ask(plane, SERVES, strategy, replicas=2, component=component)
        await bring_in(plane, progress, again)
        await eventually(lambda: _is(served_by(plane, again, component), {again.release.name}))
        await _returned(plane, old)


async def _returned(plane: Plane, old: RolloutRequest) -> None:
    returned = await plane.apply(back(plane, old))
    assert returned.stops == 0
    assert (await watch(plane, returned)).reason == "RolloutStable"
    component = old.target.component.key.name
    rollout = (await objects(plane, old))["Rollout", component]
    assert rollout["spec"]["template"]["metadata"]["labels"]["towpath.dev/release"] == old.release.name
    assert not rollout["status"].get("abort")
    await eventually(lambda: _is(served_by(plane, old, component), {old.release.name}))


async def test_a_canary_that_crashes_is_found_out_while_it_comes_and_while_it_waits(
    plane: Plane, progress: Progress
) -> None:
    await bring_in(plane, progress, ask(plane, SERVES, CANARY, replicas=2))
    crashing = await plane.apply(ask(plane, CRASHES, CANARY, replicas=2))
    verdict = await watch(plane, crashing, 0)
    assert (verdict.health, verdict.reason) == ("unhealthy", "CrashLoop")
    dying = await plane.apply(ask(plane, DIES_LATER, CANARY, replicas=2))
    assert (await watch(plane, dying, 0)).reason == "StopReached"
    guarded = dying.model_copy(update={"stop": 0})
    verdict = await asyncio.wait_for(ActivityEnvironment().run(progress.guard, guarded), 90)
    assert (verdict.health, verdict.reason) == ("unhealthy", "CrashLoop")


async def test_a_controller_that_aborts_by_itself_is_heard(plane: Plane, progress: Progress) -> None:
    await bring_in(plane, progress, ask(plane, SERVES, CANARY, replicas=2))
    slow = ask(plane, NEVER_READY, CANARY, replicas=2)
    # The controller gives up after 10 s (its least), long before the engine would.
    applied = await plane.apply(with_policy(slow, deadline_seconds=1))
    verdict = await watch(plane, applied.model_copy(update={"deadline_seconds": 90.0}), 0)
    assert (verdict.health, verdict.reason) == ("unhealthy", "RolloutAborted")
    assert "exceeded its progressDeadlineSeconds" in verdict.message or "aborted" in verdict.message.lower()


async def test_somebody_who_promotes_around_the_lane_is_heard(plane: Plane, progress: Progress) -> None:
    await bring_in(plane, progress, ask(plane, SERVES, CANARY, replicas=2))
    applied = await plane.apply(ask(plane, SERVES, CANARY, replicas=2))
    assert (await watch(plane, applied, 0)).reason == "StopReached"
    guard = asyncio.create_task(ActivityEnvironment().run(progress.guard, applied.model_copy(update={"stop": 0})))
    await plane.admin.merge(
        "argoproj.io/v1alpha1", "Rollout", applied.name, applied.namespace,
        {"status": {"promoteFull": True}}, subresource="status",
    )  # fmt: skip
    verdict = await asyncio.wait_for(guard, 60)
    assert (verdict.health, verdict.reason) == ("inconclusive", "SteppedPast")


async def test_a_component_changes_its_strategy_and_back_without_a_gap(plane: Plane, progress: Progress) -> None:
    await asyncio.gather(_changed(plane, progress, CANARY, "one"), _changed(plane, progress, BLUE_GREEN, "two"))


async def _changed(plane: Plane, progress: Progress, strategy: Strategy, component: str) -> None:
    old = ask(plane, SERVES, None, replicas=2, component=component)
    assert (await plane.deploy(old)).passed
    assert await kinds(plane, old) == {"Deployment"}
    async with never_unserved(plane, old):
        new = ask(plane, SERVES, strategy, replicas=2, component=component)
        applied = await plane.apply(new)
        # The release that ran became the stable one, so that the new one is compared with it from the start.
        assert await kinds(plane, new) == {"Rollout"}
        for stop in range(applied.stops):
            reached = await watch(plane, applied, stop)
            assert reached.reason == "StopReached", reached
            await proceed(progress, applied, stop)
        assert (await watch(plane, applied)).passed
        rolling = ask(plane, SERVES, Strategy(kind="rolling", max_surge="50%"), replicas=2, component=component)
        assert (await plane.deploy(rolling)).passed
    assert await kinds(plane, rolling) == {"Deployment"}
    service = (await objects(plane, rolling))["Service", component]
    assert HASH not in service["spec"]["selector"]
    assert ("Service", beside_name(rolling.target, strategy)) not in await objects(plane, rolling)
    await eventually(lambda: _is(served_by(plane, rolling, component), {rolling.release.name}))


async def test_a_canary_may_become_blue_green_and_shows_nothing_unproven_meanwhile(
    plane: Plane, progress: Progress
) -> None:
    old = ask(plane, SERVES, CANARY, replicas=2)
    await bring_in(plane, progress, old)
    new = ask(plane, SERVES, BLUE_GREEN, replicas=2)
    async with never_unserved(plane, new) as seen:
        applied = await plane.apply(new)
        assert (await watch(plane, applied, 0)).reason == "StopReached"
    assert {release for look in seen for release in look} == {old.release.name}


async def test_a_route_gives_the_canary_its_weight_and_takes_it_back(plane: Plane, progress: Progress) -> None:
    routed = CANARY.model_copy(update={"http_route": "shop"})
    old = ask(plane, SERVES, routed, replicas=2)
    await bring_in(plane, progress, old)
    new = ask(plane, SERVES, routed, replicas=2)
    with pytest.raises(UserFailure, match="no HTTPRoute shop"):
        await plane.apply(new)
    stable, canary = stable_name(new.target), beside_name(new.target, routed)
    await plane.admin.apply(route(new, {stable: 1, canary: 1}))
    applied = await plane.apply(new)
    assert await weights(plane, new) == {stable: 100, canary: 0}
    assert (await watch(plane, applied, 0)).reason == "StopReached"
    assert await served_by(plane, new, stable) == {old.release.name}
    assert await served_by(plane, new, canary) == {new.release.name}
    weighing = Weighing(applied=applied, route="shop", stable=stable, canary=canary, percent=25)
    await ActivityEnvironment().run(progress.weigh, weighing)
    assert await weights(plane, new) == {stable: 75, canary: 25}
    returned = await plane.apply(back(plane, old))
    assert await weights(plane, new) == {stable: 100, canary: 0}
    assert (await watch(plane, returned)).passed
    with pytest.raises(Conflict, match="comes too late"):
        await ActivityEnvironment().run(progress.weigh, weighing)
    assert await weights(plane, new) == {stable: 100, canary: 0}
    await eventually(lambda: _is(served_by(plane, new, stable), {old.release.name}))


def route(asked: RolloutRequest, shares: dict[str, int]) -> Object:
    """A route as a platform team writes it, for whichever gateway there is."""
    backends = [{"name": name, "port": 80, "weight": share} for name, share in shares.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": asked.target.namespace},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": backends}]},
    }


async def weights(plane: Plane, asked: RolloutRequest) -> dict[str, int]:
    found = await plane.admin.get("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", asked.target.namespace)
    assert found is not None
    return {ref["name"]: ref["weight"] for ref in found["spec"]["rules"][0]["backendRefs"]}


async def _absent(plane: Plane, asked: RolloutRequest) -> bool:
    found = await plane.admin.get("v1", "Namespace", asked.target.namespace)
    return found is None or "deletionTimestamp" in found["metadata"]


async def _is(looking: Any, wanted: object) -> bool:
    return bool(await looking == wanted)
