"""A rollout is healthy only when everything that makes it so has been seen."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import labels
from model.health import Look, Memory, judge
from model.rollout import Applied

DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.example/shop/web@{DIGEST}"
OTHER = "registry.example/shop/web@sha256:" + "b" * 64
APPLIED = Applied(
    namespace="dp",
    name="web",
    uid="d1",
    generation=3,
    image=IMAGE,
    stability_seconds=3,
    deadline_seconds=60,
    template="hash",
    replicas=2,
)


def deployment(**status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": 3,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "conditions": [],
        **status,
    }
    return {
        "metadata": {"name": "web", "uid": "d1", "generation": 3},
        "spec": {"replicas": 2, "template": template()},
        "status": full,
    }


def template(image: str = IMAGE, spec_hash: str = "hash") -> dict[str, Any]:
    return {
        "metadata": {"annotations": {labels.SPEC_HASH: spec_hash}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def pod(uid: str = "p1", image: str = IMAGE, spec_hash: str = "hash", **status: Any) -> dict[str, Any]:
    full = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "containerStatuses": [container()],
        **status,
    }
    made = template(image, spec_hash)
    made["metadata"] |= {"name": f"web-{uid}", "uid": uid}
    return made | {"status": full}


def container(state: dict[str, Any] | None = None, restarts: int = 0, last: Any = None) -> dict[str, Any]:
    return {
        "name": "main",
        "state": state or {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "restartCount": restarts,
        "imageID": IMAGE,
        "lastState": {"terminated": last} if last else {},
    }


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    """A pod whose container waits."""
    return pod(
        phase="Pending",
        conditions=[{"type": "Ready", "status": "False"}],
        containerStatuses=[container({"waiting": {"reason": reason, "message": message}}, **more)],
    )


def crashed(code: int, restarts: int, reason: str = "Error") -> dict[str, Any]:
    ended = {"exitCode": code, "reason": reason}
    return pod(
        conditions=[{"type": "Ready", "status": "False"}],
        containerStatuses=[container({"terminated": ended}, restarts, ended if restarts else None)],
    )


PODS = [pod("p1"), pod("p2")]


def looks(*frames: tuple[float, dict[str, Any] | None, list[dict[str, Any]]]) -> Look:
    """The last of several looks, each remembering the one before."""
    memory = Memory()
    look = Look(memory=memory)
    for now, found, pods in frames:
        look = judge(APPLIED, found, pods, now, memory)
        memory = look.memory
    return look


def end(look: Look) -> tuple[str, str] | None:
    return look.end[:2] if look.end else None


def test_healthy_after_the_stability_window_and_not_before() -> None:
    assert looks((100, deployment(), PODS)).end is None
    early = looks((100, deployment(), PODS), (102.9, deployment(), PODS))
    assert early.end is None
    assert early.again_in == pytest.approx(0.1)
    assert end(looks((100, deployment(), PODS), (103, deployment(), PODS))) == ("healthy", "RolloutStable")


@pytest.mark.parametrize(
    ("found", "pods", "expected"),
    [
        (deployment(observedGeneration=2), PODS, "has not seen"),
        (deployment(updatedReplicas=1), PODS, "1 of 2 replicas are updated"),
        (deployment(replicas=3), PODS, "1 old replicas"),
        (deployment(readyReplicas=1), PODS, "2 of 2 replicas are available"),
        (deployment(availableReplicas=None), PODS, "0 of 2 replicas are available"),
        (deployment(), [], "0 of 2 pods"),
        (deployment(), [pod("p1")], "1 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", image=OTHER)], "1 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", spec_hash="older")], "1 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", phase="Unknown")], "1 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", containerStatuses=[])], "1 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", conditions=[])], "1 of 2 pods"),
        (deployment(), [*PODS, pod("p3")], "3 of 2 pods"),
        (deployment(), [pod("p1"), pod("p2", conditions=[])], "does the process listen"),
    ],
)
def test_a_missing_fact_keeps_the_watch_waiting_and_says_which(
    found: dict[str, Any], pods: list[dict[str, Any]], expected: str
) -> None:
    look = looks((100, found, pods), (1000, found, pods))
    assert look.end is None
    assert expected in look.waiting_for


def test_a_stale_status_of_the_release_before_is_not_healthy() -> None:
    """Kargo 2196: "Healthy" was read right after the sync, of what ran before it."""
    before = deployment(observedGeneration=2)
    assert looks((100, before, PODS), (200, before, PODS)).end is None


def test_pods_of_the_same_image_with_older_settings_do_not_count() -> None:
    old = [pod("p1", spec_hash="older"), pod("p2", spec_hash="older")]
    assert looks((100, deployment(), old), (200, deployment(), old)).end is None


def test_going_pods_do_not_count_as_running() -> None:
    going = deepcopy(PODS)
    going[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert looks((100, deployment(), going), (200, deployment(), going)).end is None


def test_a_restart_begins_the_window_anew() -> None:
    again = [pod("p1", containerStatuses=[container(restarts=1)]), pod("p2")]
    look = looks((100, deployment(), PODS), (102, deployment(), again), (104, deployment(), again))
    assert look.end is None
    assert end(judge(APPLIED, deployment(), again, 105, look.memory)) == ("healthy", "RolloutStable")


def test_a_moment_unready_that_no_event_told_begins_the_window_anew() -> None:
    flipped = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"}]
    again = [pod("p1", conditions=flipped), pod("p2")]
    assert looks((100, deployment(), PODS), (104, deployment(), again)).end is None


def test_a_clock_set_back_never_shortens_the_window() -> None:
    assert looks((100, deployment(), PODS), (50, deployment(), PODS), (52, deployment(), PODS)).end is None


@pytest.mark.parametrize(
    ("sick", "seconds", "reason", "says"),
    [
        (crashed(3, restarts=1), 0, "CrashLoop", "exited with code 3, 2 times"),
        (waiting("CrashLoopBackOff", restarts=1, last={"exitCode": 1}), 0, "CrashLoop", "code 1, 2 times"),
        (waiting("CrashLoopBackOff", last={"exitCode": 0}), 0, "CrashLoop", "must keep running"),
        (crashed(137, restarts=0, reason="OOMKilled"), 0, "OOMKilled", "memory"),
        (waiting("InvalidImageName", "bad"), 0, "InvalidImageName", "bad"),
        (waiting("ErrImagePull", "manifest unknown"), 4, "ImagePullFailed", "Check that it exists"),
        (waiting("ImagePullBackOff", "dial tcp: refused"), 35, "ImagePullFailed", "Is the registry up?"),
        (waiting("CreateContainerConfigError", 'secret "db" not found'), 6, "ContainerConfigError", '"db"'),
        (waiting("RunContainerError", 'exec: "nosuch"'), 1, "RunContainerError", "nosuch"),
        (crashed(128, restarts=0, reason="StartError"), 1, "RunContainerError", "command"),
        (
            pod(
                phase="Pending",
                containerStatuses=[],
                conditions=[
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient cpu.",
                    }
                ],
            ),
            12,
            "Unschedulable",
            "Insufficient cpu",
        ),
    ],
)
def test_certain_failures_end_the_wait_within_seconds(
    sick: dict[str, Any], seconds: float, reason: str, says: str
) -> None:
    found = deployment(availableReplicas=1, readyReplicas=1)
    pods = [sick, pod("p2")]
    if seconds:
        soon = looks((100, found, pods), (100 + seconds - 0.5, found, pods))
        assert soon.end is None
        assert soon.again_in == pytest.approx(0.5)
    look = looks((100, found, pods), (100 + seconds, found, pods))
    assert end(look) == ("unhealthy", reason)
    assert look.end is not None
    assert says in look.end[2]


def test_one_crash_alone_is_not_the_end() -> None:
    found = deployment(availableReplicas=1, readyReplicas=1)
    assert looks((100, found, [crashed(1, restarts=0), pod("p2")])).end is None


def test_a_registry_blip_does_not_kill_the_rollout() -> None:
    blip = waiting("ErrImagePull", "connection reset by peer")
    found = deployment(availableReplicas=1, readyReplicas=1)
    look = looks((100, found, [blip, pod("p2")]), (120, found, [blip, pod("p2")]), (125, deployment(), PODS))
    assert look.end is None
    assert end(judge(APPLIED, deployment(), PODS, 128, look.memory)) == ("healthy", "RolloutStable")


def test_restarts_of_last_week_do_not_count_against_an_older_release_applied_again() -> None:
    veterans = [
        pod("p1", containerStatuses=[container(restarts=7, last={"exitCode": 137, "reason": "OOMKilled"})]),
        pod("p2"),
    ]
    look = looks((100, deployment(), veterans), (103, deployment(), veterans))
    assert end(look) == ("healthy", "RolloutStable")


def test_pods_of_older_releases_never_fail_the_new_one() -> None:
    old = crashed(1, restarts=9)
    old["metadata"]["annotations"][labels.SPEC_HASH] = "older"
    found = deployment(replicas=3)
    assert looks((100, found, [old, *PODS]), (200, found, [old, *PODS])).end is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('pods "web-1" is forbidden: exceeded quota: towpath', "QuotaExceeded"),
        ('pods "web-1" is forbidden: violates PodSecurity "restricted:latest"', "PodSecurityViolation"),
        ("admission webhook denied the request", "PodsRefused"),
    ],
)
def test_refused_pods_end_the_wait_with_the_servers_words(said: str, reason: str) -> None:
    refused = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}]
    found = deployment(updatedReplicas=0, conditions=refused)
    look = looks((100, found, []), (105, found, []))
    assert end(look) == ("unhealthy", reason)
    assert look.end is not None
    assert said in look.end[2]


def test_refused_pods_of_the_release_before_do_not_fail_the_one_that_does_well() -> None:
    """Seen on Kubernetes 1.34: the condition of a ReplicaSet that was refused stays while another goes on."""
    said = 'pods "web-old" is forbidden: exceeded quota: towpath'
    stale = deployment(conditions=[{"type": "ReplicaFailure", "status": "True", "message": said}], readyReplicas=1)
    pending = pod("p2", phase="Pending", conditions=[], containerStatuses=[])
    look = looks((100, stale, [pod("p1"), pending]), (110, stale, [pod("p1"), pending]))
    assert look.end is None
    good = deployment(conditions=stale["status"]["conditions"])
    assert end(looks((100, good, PODS), (103, good, PODS))) == ("healthy", "RolloutStable")


def test_no_progress_is_unhealthy_unless_it_is_the_release_befores() -> None:
    late = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]
    stuck = deployment(updatedReplicas=1, conditions=late)
    assert looks((100, stuck, [])).end is None
    assert end(looks((100, stuck, []), (110, stuck, []))) == ("unhealthy", "ProgressDeadlineExceeded")


def test_a_deleted_deployment_is_inconclusive() -> None:
    assert end(looks((100, None, PODS))) == ("inconclusive", "DeploymentGone")
    replaced = deployment()
    replaced["metadata"]["uid"] = "d2"
    assert end(looks((100, replaced, PODS))) == ("inconclusive", "DeploymentReplaced")


def test_a_spec_changed_by_somebody_else_is_named_so() -> None:
    changed = deployment(observedGeneration=4)
    changed["metadata"]["generation"] = 4
    assert end(looks((100, changed, PODS), (103, changed, PODS))) == ("healthy", "RolloutStable")
    changed["spec"]["template"] = template(image=OTHER)
    assert end(looks((100, changed, PODS))) == ("inconclusive", "ChangedUnderneath")
    emptied = deployment(observedGeneration=4, replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0)
    emptied["metadata"]["generation"] = 4
    emptied["spec"]["replicas"] = 0
    assert end(looks((100, emptied, []), (200, emptied, []))) == ("inconclusive", "ChangedUnderneath")


def test_a_mirrored_registry_and_an_injected_sidecar_are_fine() -> None:
    mirrored = pod("p1", image=f"mirror.example/web@{DIGEST}")
    mirrored["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy:1"})
    pods = [mirrored, pod("p2")]
    assert end(looks((100, deployment(), pods), (103, deployment(), pods))) == ("healthy", "RolloutStable")


def _paths(thing: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index below a structure."""
    if isinstance(thing, dict):
        return [found for key in thing for found in [(*path, key), *_paths(thing[key], (*path, key))]]
    if isinstance(thing, list):
        return [found for key in range(len(thing)) for found in [(*path, key), *_paths(thing[key], (*path, key))]]
    return []


# What healthy does not rest on: names, and times and messages that only tell people more.
UNNEEDED = {
    "name",
    "lastTransitionTime",
    "startedAt",
    "restartCount",
    "lastState",
    "conditions",
    "uid",
    "generation",
}
NEEDED = [
    (which, path)
    for which, whole in (("deployment", deployment()), ("pods", PODS))
    for path in _paths(whole)
    if path[-1] not in UNNEEDED or (which == "pods" and path[-1] == "conditions")
]


@given(st.sampled_from(NEEDED))
def test_never_healthy_when_any_one_fact_is_missing(missing: tuple[str, tuple[Any, ...]]) -> None:
    which, path = missing
    facts: dict[str, Any] = {"deployment": deployment(), "pods": deepcopy(PODS)}
    holder = facts[which]
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    try:
        look = looks((100, facts["deployment"], facts["pods"]), (110, facts["deployment"], facts["pods"]))
    except (KeyError, TypeError):
        return  # not an object that an API server can send
    assert look.end is None or look.end[0] != "healthy"


@given(
    observed=st.integers(0, 5),
    counts=st.tuples(*[st.integers(0, 3)] * 4),
    pods=st.lists(
        st.sampled_from([*PODS, crashed(1, 1), waiting("ErrImagePull"), pod("p3", image=OTHER)]), max_size=4
    ),
    times=st.lists(st.floats(0, 20), min_size=1, max_size=5),
)
def test_healthy_only_with_every_count_and_pod_in_place(
    observed: int, counts: tuple[int, ...], pods: list[dict[str, Any]], times: list[float]
) -> None:
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    found = deployment(observedGeneration=observed, **dict(zip(names, counts, strict=True)))
    look = looks(*((100 + now, found, pods) for now in times))
    if look.end is not None and look.end[0] == "healthy":
        assert observed >= 3
        assert counts == (2, 2, 2, 2)
        assert len(pods) == 2
        assert all(found in PODS for found in pods)
        assert max(times) - min(times) >= APPLIED.stability_seconds


def unready(uid: str) -> dict[str, Any]:
    return pod(
        uid, conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    )


def test_pods_that_are_ready_again_and_again_and_never_stay_so_are_unhealthy_before_the_deadline() -> None:
    up, down = (deployment(), PODS), (deployment(readyReplicas=1, availableReplicas=1), [PODS[0], unready("p2")])
    wavering = [(100 + second, *(down if second % 2 else up)) for second in range(10)]
    assert looks(*wavering[:9]).end is None
    assert end(looks(*wavering)) == ("unhealthy", "ReadinessFlapping")


def test_what_is_waited_for_says_whether_the_pods_are_seen_to_be_unwell() -> None:
    half = deployment(readyReplicas=1, availableReplicas=1)
    assert looks((100, half, [PODS[0], unready("p2")])).unwell
    assert not looks((100, half, [PODS[0]])).unwell, "a pod that is not there yet says nothing"
    assert not looks((100, deployment(observedGeneration=2), PODS)).unwell
    assert not looks((100, deployment(), PODS)).unwell, "ready, and not for long enough"
