"""A scheduled task is rolled out when its CronJob stands and a node has pulled its image."""

from typing import Any

from model import labels, scheduled
from model.health import Memory
from model.manifests.imagecheck import image_check
from tests.unit.test_health import APPLIED, IMAGE, container, pod, template, waiting

TASK = APPLIED.model_copy(update={"kind": "CronJob", "uid": "c1"})


def cron_job(uid: str = "c1", image: str = IMAGE) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "uid": uid},
        "spec": {"jobTemplate": {"spec": {"template": template(image)}}},
    }


def test_a_pulled_image_is_healthy() -> None:
    ended = {"exitCode": 128, "reason": "StartError", "message": "no such file"}
    tried = pod(phase="Failed", containerStatuses=[container({"terminated": ended})])
    look = scheduled.judge(TASK, cron_job(), [tried], 100, Memory())
    assert look.end is not None
    assert look.end[:2] == ("healthy", "ImagePulled")


def test_without_a_pulled_image_nothing_is_healthy() -> None:
    waits = waiting("ContainerCreating")
    waits["status"]["containerStatuses"][0]["imageID"] = ""
    for pods in ([], [waits], [pod(spec_hash="older")]):
        assert scheduled.judge(TASK, cron_job(), pods, 1000, Memory()).end is None


def test_an_image_that_cannot_be_pulled_is_unhealthy() -> None:
    sick = waiting("ErrImagePull", "manifest unknown")
    sick["status"]["containerStatuses"][0]["imageID"] = ""
    first = scheduled.judge(TASK, cron_job(), [sick], 100, Memory())
    assert first.end is None
    second = scheduled.judge(TASK, cron_job(), [sick], 104, first.memory)
    assert second.end is not None
    assert second.end[:2] == ("unhealthy", "ImagePullFailed")


def test_a_cron_job_that_went_or_changed_is_inconclusive() -> None:
    for found, reason in (
        (None, "CronJobGone"),
        (cron_job(uid="c2"), "CronJobGone"),
        (cron_job(image="other@sha256:" + "c" * 64), "ChangedUnderneath"),
    ):
        look = scheduled.judge(TASK, found, [pod()], 100, Memory())
        assert look.end is not None
        assert look.end[:2] == ("inconclusive", reason)


def test_the_image_check_never_runs_the_task() -> None:
    found = cron_job()
    found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0] |= {
        "command": ["rm"],
        "args": ["-r"],
    }
    checked = image_check(TASK, found)
    (main,) = checked["spec"]["containers"]
    assert main["command"] == ["/towpath-image-check"]
    assert "args" not in main
    assert checked["metadata"]["ownerReferences"][0]["uid"] == "c1"
    assert checked["metadata"]["annotations"][labels.SPEC_HASH] == "hash"
