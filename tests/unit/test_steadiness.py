"""What pods keep of their past decides how long a release has been well."""

from datetime import UTC, datetime
from typing import Any

import pytest

from model.pipeline import EnvironmentStep
from model.rollout import Target
from model.soak import SteadinessQuestion
from model.steadiness import judge
from tests.workflows.world import COMPONENT

DIGEST = "sha256:" + "a" * 64
SINCE = 1_000_000.0
TARGET = Target(component=COMPONENT, step=EnvironmentStep(environment="staging"), namespace="dp")


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(
    created: float = SINCE - 60,
    ready: float | None = SINCE - 50,
    restarts: int = 0,
    started: float = SINCE - 55,
    digest: str = DIGEST,
    **metadata: Any,
) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": stamp(ready)}] if ready else []
    return {
        "metadata": {
            "name": "web-1",
            "creationTimestamp": stamp(created),
            "ownerReferences": [{"kind": "ReplicaSet", "name": "rs"}],
            **metadata,
        },
        "spec": {"containers": [{"name": "main", "image": f"registry/web@{digest}"}]},
        "status": {
            "conditions": conditions,
            "containerStatuses": [
                {"name": "main", "restartCount": restarts, "state": {"running": {"startedAt": stamp(started)}}}
            ],
        },
    }


@pytest.mark.parametrize(
    ("pods", "steady", "since", "reason"),
    [
        ([pod()], True, SINCE, "Steady"),
        ([pod(), pod(restarts=1, started=SINCE + 500)], True, SINCE + 500, "Restarted"),
        ([pod(restarts=3, started=SINCE - 500)], True, SINCE, "Steady"),
        ([pod(ready=SINCE + 300)], True, SINCE + 300, "CheckFailed"),
        ([pod(created=SINCE + 200, ready=SINCE + 300)], True, SINCE, "Steady"),
        ([pod(ready=None)], False, 0, "PodNotReady"),
        ([], False, 0, "NoPods"),
        ([pod(digest="sha256:" + "b" * 64)], False, 0, "NoPods"),
        ([pod(), pod(ready=None, deletionTimestamp=stamp(SINCE))], True, SINCE, "Steady"),
        ([pod(), pod(ready=None, digest="sha256:" + "b" * 64)], True, SINCE, "Steady"),
    ],
)
def test_a_restart_or_a_failed_check_starts_it_again(
    pods: list[dict[str, Any]], steady: bool, since: float, reason: str
) -> None:
    found = judge(pods, SteadinessQuestion(target=TARGET, digest=DIGEST, since=SINCE))
    assert (found.steady, found.since, found.reason) == (steady, since, reason)


def test_what_keeps_no_pods_running_is_left_to_the_lane() -> None:
    found = judge([], SteadinessQuestion(target=TARGET, digest=DIGEST, since=SINCE, pods=False))
    assert (found.steady, found.since) == (True, SINCE)
