"""Watching a rollout when the API server does not play along."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from activities.changes import Change
from activities.rolloutwatch import RolloutWatch
from model.failure import InfrastructureFailure, UserFailure
from tests.unit.test_health import APPLIED, PODS, crashed, deployment, unready

Object = dict[str, Any]


class Cluster:
    """One Deployment and its pods; `told` is what watches tell, `present` what is asked for is."""

    def __init__(
        self, told: tuple[Object | None, list[Object]], present: tuple[Object | None, list[Object]]
    ) -> None:
        self.told, self.present = told, present
        self.away = False
        self.refused: UserFailure | None = None
        self.log = b""

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        if self.away:
            raise InfrastructureFailure("ApiServerUnavailable", "away")
        return self.present[0]

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        return self.present[1]

    async def watch(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> AsyncGenerator[Change, None]:
        if self.refused is not None:
            raise self.refused
        if not self.away:
            for obj in self.told[1] if kind == "Pod" else [self.told[0]]:
                if obj is not None:
                    yield Change("ADDED", obj)
            yield Change("SYNCED", {})
        await asyncio.Event().wait()

    async def create(self, obj: Object) -> Object:
        raise AssertionError("nothing is made")

    async def apply(
        self,
        obj: Object,
        field_manager: str = "",
        subresource: str = "",
        force: bool = True,
        dry_run: bool = False,
    ) -> Object:
        raise AssertionError("nothing is written")

    async def delete(
        self, api_version: str, kind: str, name: str, namespace: str = "", propagation: str = "", uid: str = ""
    ) -> bool:
        raise AssertionError("nothing is deleted")

    async def serves(self, api_version: str, kind: str) -> bool:
        raise AssertionError("kinds are not asked for")

    async def merge(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        patch: Object,
        subresource: str = "",
        field_manager: str = "",
    ) -> Object:
        raise AssertionError("nothing is written")

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        follow: bool = True,
        since_seconds: int = 0,
        previous: bool = False,
        tail_lines: int = 0,
        timestamps: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        if not self.log:
            raise InfrastructureFailure("ApiServerUnavailable", "the kubelet is away")
        yield self.log


GOOD = (deployment(), PODS)
QUICK = APPLIED.model_copy(update={"stability_seconds": 0.05, "deadline_seconds": 0.4})


async def test_healthy_when_watches_and_a_fresh_look_agree() -> None:
    verdict = await RolloutWatch(Cluster(GOOD, GOOD), QUICK).run()
    assert (verdict.health, verdict.reason) == ("healthy", "RolloutStable")
    assert verdict.observations


@pytest.mark.parametrize(
    "present",
    [
        (deployment(availableReplicas=1, readyReplicas=1), PODS),
        (deployment(), [PODS[0]]),
        (deployment(observedGeneration=2), PODS),
    ],
)
async def test_a_watch_that_has_gone_silent_never_makes_it_healthy(present: tuple[Object, list[Object]]) -> None:
    verdict = await RolloutWatch(Cluster(GOOD, present), QUICK).run()
    assert (verdict.health, verdict.reason) == ("inconclusive", "DeadlineExceeded")


async def test_a_deployment_that_went_unseen_is_told_as_gone() -> None:
    verdict = await RolloutWatch(Cluster(GOOD, (None, [])), QUICK).run()
    assert verdict.reason == "DeploymentGone"


async def test_an_api_server_that_is_away_until_the_deadline_is_inconclusive() -> None:
    cluster = Cluster(GOOD, GOOD)
    cluster.away = True
    verdict = await RolloutWatch(cluster, QUICK).run()
    assert (verdict.health, verdict.reason) == ("inconclusive", "DeadlineExceeded")
    assert "API server" in verdict.message


async def test_pods_that_are_seen_unready_at_the_deadline_are_unhealthy() -> None:
    state = (deployment(readyReplicas=1, availableReplicas=1), [PODS[0], unready("p2")])
    verdict = await RolloutWatch(Cluster(state, state), QUICK).run()
    assert (verdict.health, verdict.reason) == ("unhealthy", "DeadlineExceeded")
    cluster = Cluster(state, state)
    watch = asyncio.create_task(RolloutWatch(cluster, QUICK).run())
    await asyncio.sleep(0)
    cluster.away = True
    assert (await watch).health == "inconclusive", "what was seen before is not what is seen now"


async def test_an_api_server_that_goes_away_before_the_last_look_is_inconclusive() -> None:
    cluster = Cluster(GOOD, GOOD)
    watch = asyncio.create_task(RolloutWatch(cluster, QUICK).run())
    await asyncio.sleep(0)
    cluster.away = True
    assert (await watch).reason == "DeadlineExceeded"


async def test_missing_rights_end_the_watch_at_once() -> None:
    cluster = Cluster(GOOD, GOOD)
    cluster.refused = UserFailure("Forbidden", "pods is forbidden")
    verdict = await RolloutWatch(cluster, APPLIED).run()
    assert (verdict.health, verdict.reason) == ("inconclusive", "Forbidden")


async def test_the_deadline_counts_from_the_first_try() -> None:
    slow = APPLIED.model_copy(update={"deadline_seconds": 60})
    unready = (deployment(readyReplicas=1, availableReplicas=1), PODS)
    started = time.monotonic()
    verdict = await RolloutWatch(Cluster(unready, unready), slow, [{"began": time.time() - 60}]).run()
    assert verdict.reason == "DeadlineExceeded"
    assert time.monotonic() - started < 5


async def test_the_next_try_is_told_when_the_first_began() -> None:
    first = RolloutWatch(Cluster(GOOD, GOOD), QUICK)
    second = RolloutWatch(Cluster(GOOD, GOOD), QUICK, [first.progress()])
    assert second.progress()["began"] == pytest.approx(first.progress()["began"], abs=0.001)


async def test_a_crash_loop_shows_the_last_lines_without_control_characters() -> None:
    sick = (deployment(availableReplicas=1, readyReplicas=1), [crashed(3, restarts=1)])
    cluster = Cluster(sick, sick)
    cluster.log = b"starting\n\x1b[31mno database\x1b[0m\n"
    verdict = await RolloutWatch(cluster, APPLIED).run()
    assert (verdict.health, verdict.reason) == ("unhealthy", "CrashLoop")
    assert "starting\n[31mno database" in verdict.message
    assert "\x1b" not in verdict.message


async def test_a_log_that_cannot_be_read_is_said_to_be_so() -> None:
    sick = (deployment(availableReplicas=1, readyReplicas=1), [crashed(3, restarts=1)])
    verdict = await RolloutWatch(Cluster(sick, sick), APPLIED).run()
    assert "could not be read" in verdict.message


async def test_observations_stay_few() -> None:
    pods = [crashed(1, restarts=1) for _ in range(100)]
    for number, pod in enumerate(pods):
        pod["metadata"] = {**pod["metadata"], "uid": f"p{number}", "name": f"web-{number}"}
    sick = (deployment(), pods)
    verdict = await RolloutWatch(Cluster(sick, sick), APPLIED).run()
    assert len(verdict.observations) <= 30
