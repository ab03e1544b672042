"""How far a Rollout is: stops, ends, what others did to it; and never healthy on what was not seen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.health import Look, Memory
from model.progress import HASH, is_complete, judge
from model.rollout import Applied
from tests.unit.test_health import APPLIED, pod, template

ROLLOUT = APPLIED.model_copy(update={"kind": "Rollout", "stability_seconds": 0.0, "replicas": 2})
PAUSED = [{"reason": "CanaryPauseStep"}]


def rollout(strategy: str = "canary", generation: int = 3, **status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": "3",
        "currentPodHash": "new",
        "stableRS": "old",
        "replicas": 3,
        "updatedReplicas": 1,
        "phase": "Progressing",
        **status,
    }
    return {
        "metadata": {"name": "web", "uid": "d1", "generation": generation},
        "spec": {"replicas": 2, "strategy": {strategy: {}}, "template": template()},
        "status": full,
    }


def pods(*uids: str, pod_hash: str = "new") -> list[dict[str, Any]]:
    found = [pod(uid) for uid in uids]
    for each in found:
        each["metadata"].setdefault("labels", {})[HASH] = pod_hash
    return found


def look(
    seen: dict[str, Any] | None, found: list[dict[str, Any]], applied: Applied = ROLLOUT, now: float = 100
) -> Look:
    return judge(applied, seen, found, now, Memory())


def at(stop: int, **more: Any) -> Applied:
    return ROLLOUT.model_copy(update={"stop": stop, **more})


DONE: dict[str, Any] = {"stableRS": "new", "replicas": 2, "updatedReplicas": 2}


@pytest.mark.parametrize(
    ("applied", "seen", "found", "end"),
    [
        (at(0), rollout(currentStepIndex=1, pauseConditions=PAUSED), pods("a"), ("healthy", "StopReached")),
        (at(1), rollout(currentStepIndex=3, pauseConditions=PAUSED), pods("a"), ("healthy", "StopReached")),
        (
            at(0),
            rollout("blueGreen", pauseConditions=[{"reason": "BlueGreenPause"}]),
            pods("a", "b"),
            ("healthy", "StopReached"),
        ),
        (ROLLOUT, rollout(**DONE), pods("a", "b"), ("healthy", "RolloutStable")),
        (at(0), rollout(**DONE), pods("a", "b"), ("healthy", "RolloutStable")),  # a first one has no stops
        (
            ROLLOUT,
            rollout("blueGreen", **DONE, blueGreen={"activeSelector": "new"}),
            pods("a", "b"),
            ("healthy", "RolloutStable"),
        ),
        (at(0), rollout(abort=True, message="RolloutAborted: x"), pods("a"), ("unhealthy", "RolloutAborted")),
        (at(0), rollout(currentStepIndex=3, pauseConditions=PAUSED), pods("a"), ("inconclusive", "SteppedPast")),
        (at(0, guard=True), rollout(currentStepIndex=2), pods("a"), ("inconclusive", "SteppedPast")),
        (at(0, guard=True), rollout(**DONE), pods("a", "b"), ("inconclusive", "SteppedPast")),
        (at(0), None, [], ("inconclusive", "RolloutGone")),
    ],
)
def test_an_end(
    applied: Applied, seen: dict[str, Any] | None, found: list[dict[str, Any]], end: tuple[str, str]
) -> None:
    ended = look(seen, found, applied).end
    assert ended is not None
    assert ended[:2] == end
    assert len(ended[2]) > 20


@pytest.mark.parametrize(
    ("applied", "seen", "found"),
    [
        (at(0), rollout(observedGeneration="2", currentStepIndex=1, pauseConditions=PAUSED), pods("a")),
        (at(0), rollout(observedGeneration="x", currentStepIndex=1, pauseConditions=PAUSED), pods("a")),
        (at(0), rollout(currentStepIndex=1, pauseConditions=PAUSED), []),
        (at(0), rollout(currentStepIndex=1, pauseConditions=PAUSED), pods("a", pod_hash="other")),
        (at(1), rollout(currentStepIndex=1, pauseConditions=PAUSED), pods("a")),
        (at(0), rollout(currentStepIndex=1), pods("a")),
        (at(0, guard=True), rollout(currentStepIndex=1, pauseConditions=PAUSED), pods("a")),
        (ROLLOUT, rollout(currentStepIndex=1, pauseConditions=PAUSED), pods("a")),
        (ROLLOUT, rollout(**{**DONE, "replicas": 3}), pods("a", "b")),
        (ROLLOUT, rollout(**DONE), pods("a")),
        (ROLLOUT, rollout("blueGreen", **DONE, blueGreen={"activeSelector": "old"}), pods("a", "b")),
        (ROLLOUT, rollout(stableRS="", currentPodHash=""), pods("a", "b")),
    ],
)
def test_not_the_end_yet(applied: Applied, seen: dict[str, Any], found: list[dict[str, Any]]) -> None:
    looked = look(seen, found, applied)
    assert looked.end is None
    assert looked.waiting_for


def test_what_argo_rollouts_refuses_is_told_as_it_says_it() -> None:
    refused = rollout(
        conditions=[{"type": "InvalidSpec", "status": "True", "message": "Service web is not there"}]
    )
    first = judge(at(0), refused, [], 100, Memory())
    assert first.end is None
    later = judge(at(0), refused, [], 106, first.memory)
    assert later.end is not None
    assert later.end[:2] == ("unhealthy", "InvalidRollout")
    assert "Service web is not there" in later.end[2]


def test_a_stop_counts_only_after_the_stability_window() -> None:
    steady = at(0, stability_seconds=5.0)
    paused = rollout(currentStepIndex=1, pauseConditions=PAUSED)
    first = judge(steady, paused, pods("a"), 100, Memory())
    assert first.end is None
    assert first.again_in == 5
    assert judge(steady, paused, pods("b"), 104, first.memory).end is None, "another pod begins the window anew"
    ended = judge(steady, paused, pods("a"), 105, first.memory).end
    assert ended is not None
    assert ended[1] == "StopReached"


NAMES = st.sampled_from(["", "old", "new"])


@given(
    current=NAMES,
    stable=NAMES,
    active=NAMES,
    strategy=st.sampled_from(["canary", "blueGreen"]),
    index=st.none() | st.integers(0, 5),
    pauses=st.sampled_from([[], PAUSED, [{"reason": "BlueGreenPause"}]]),
    abort=st.booleans(),
    observed=st.sampled_from(["2", "3"]),
    ready=st.integers(0, 3),
    stop=st.integers(-1, 2),
    guard=st.booleans(),
)
def test_healthy_needs_pods_of_this_release_and_a_controller_that_speaks_of_it(
    current: str, stable: str, active: str, strategy: str, index: int | None, pauses: list[dict[str, str]],
    abort: bool, observed: str, ready: int, stop: int, guard: bool,
) -> None:  # fmt: skip
    seen = rollout(
        strategy, currentPodHash=current, stableRS=stable, blueGreen={"activeSelector": active}, replicas=2,
        currentStepIndex=index, pauseConditions=pauses, abort=abort, observedGeneration=observed,
    )  # fmt: skip
    ended = look(seen, pods(*"abc"[:ready]), at(stop, guard=guard)).end
    if ended is None or ended[0] != "healthy":
        return
    assert observed == "3"
    assert not abort
    assert not guard
    assert ready
    assert current == "new", "the pods carry the hash that the controller speaks of"
    assert is_complete(seen) or (stop >= 0 and pauses)
