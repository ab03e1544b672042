"""What a vigil's looks come to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.check import Limits
from model.sampling import Asked, Result, Sample
from model.sight import OBSERVATIONS_KEPT, Answered, Memory, Sight, look, pods_seen, summary

ASKED = Asked(
    name="query errors",
    subject="Query errors",
    limits=Limits(failure_limit=3, error_limit=2),
    passed="QueryPassed",
    failed="QueryFailed",
    unanswered="QueryInconclusive",
)
RESULTS: st.SearchStrategy[Result] = st.sampled_from(["passed", "failed", "unreachable"])


def looks(*results: Result, asked: Asked = ASKED) -> Sight:
    """The last of several looks with one check each."""
    sight = Sight(memory=Memory())
    for result in results:
        sight = look(sight.memory, [Answered(asked, Sample(at=1, result=result, said=f"is {result}"))])
    return sight


@pytest.mark.parametrize(
    ("results", "alarmed"),
    [
        (["failed"] * 2, False),
        (["failed"] * 3, True),
        (["failed", "failed", "passed", "failed", "failed"], False),
        # Silence neither ends a run of failures nor is one.
        (["failed", "failed", "unreachable", "failed"], True),
        (["failed", "failed", "unreachable"], False),
        (["unreachable"] * 50, False),
    ],
)
def test_only_a_run_of_failures_is_an_alarm(results: list[Result], alarmed: bool) -> None:
    sight = looks(*results)
    assert (sight.alarm is not None) is alarmed
    if sight.alarm is not None:
        assert (sight.alarm.health, sight.alarm.reason) == ("unhealthy", "QueryFailed")
        assert "Query errors is failed, 3 looks in a row" in sight.alarm.message
        assert len(sight.alarm.observations) == len(results)


@given(st.lists(RESULTS, max_size=120))
def test_silence_alone_never_alarms_and_what_is_kept_is_bounded(results: list[Result]) -> None:
    sight = looks(*results)
    if sight.alarm is not None:
        assert [one for one in results if one != "unreachable"][-3:] == ["failed"] * 3
    assert len(sight.memory.observations) <= OBSERVATIONS_KEPT


def test_the_end_of_a_vigil_is_healthy_only_when_the_last_look_could_tell() -> None:
    assert summary(Memory(), 60).health == "inconclusive"
    good = looks("passed", "unreachable", "passed")
    assert summary(good.memory, 60, good.unclear).reason == "StayedHealthy"
    silent = looks("passed", "unreachable")
    verdict = summary(silent.memory, 60, silent.unclear)
    assert (verdict.health, verdict.reason) == ("inconclusive", "WatchedUnclear")
    assert "Query errors is unreachable" in verdict.message


def pod(uid: str, restarts: int = 0, ready: bool = True, **status: Any) -> dict[str, Any]:
    """A running pod whose container has restarted so often."""
    state: dict[str, Any] = {"running": {}}
    found = {"name": "main", "restartCount": restarts, "state": state, **status}
    if restarts:
        found.setdefault("lastState", {"terminated": {"exitCode": 1, "reason": "Error"}})
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {
        "metadata": {"name": f"web-{uid}", "uid": uid},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [found]},
    }


def watch(*seen: list[dict[str, Any]], replicas: int = 1) -> Sight:
    """The last of several looks at pods."""
    sight = Sight(memory=Memory())
    for pods in seen:
        memory, answered = pods_seen(sight.memory, pods, replicas, 1)
        sight = look(memory, [answered])
    return sight


def test_restarts_from_before_the_vigil_do_not_count() -> None:
    sight = watch(*[[pod("a", 7)]] * 5)
    assert sight.alarm is None
    assert sight.memory.restarted == 0


def test_one_restart_is_told_and_forgiven() -> None:
    sight = watch([pod("a")], [pod("a", 1)], [pod("a", 1)], [pod("a", 1)])
    assert sight.alarm is None
    assert sight.memory.restarted == 1
    assert sight.memory.failing["pods"] == 0
    assert any("restarted: 1" in seen.value for seen in sight.memory.observations)


def test_a_crash_loop_is_an_alarm_at_the_first_look_that_sees_it() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    sight = watch([pod("a")], [pod("a", 2, ready=False, state=waiting)])
    assert sight.alarm is not None
    assert (sight.alarm.health, sight.alarm.reason) == ("unhealthy", "PodsUnhealthy")
    assert "CrashLoop" in sight.alarm.message


def test_restarts_far_apart_add_up() -> None:
    sight = watch([pod("a"), pod("b")], [pod("a", 1), pod("b")], [pod("a", 1), pod("b")], replicas=2)
    assert sight.alarm is None
    sight = watch(
        [pod("a"), pod("b"), pod("c")],
        [pod("a", 1), pod("b"), pod("c")],
        [pod("a", 1), pod("b", 1), pod("c")],
        [pod("a", 1), pod("b", 1), pod("c", 1)],
        replicas=3,
    )
    assert sight.alarm is not None


def test_pods_that_stay_unready_are_an_alarm() -> None:
    assert watch([pod("a")], *[[pod("a", ready=False)]] * 2).alarm is None
    assert watch([pod("a")], *[[pod("a", ready=False)]] * 3).alarm is not None


def test_a_pod_that_was_replaced_or_scaled_up_is_no_trouble() -> None:
    assert watch([pod("a")], [pod("b")], [pod("b"), pod("c")], replicas=1).memory.failing["pods"] == 0


def test_pods_that_are_gone_are_no_data_and_none_are_needed_when_scaled_to_zero() -> None:
    sight = watch([pod("a")], *[list[dict[str, Any]]()] * 5)
    assert sight.alarm is None
    assert sight.unclear[0].check == "pods"
    assert watch([], replicas=0).unclear == ()
