"""A Job's end as a verdict."""

import pytest

from model import job_check
from model.check import JobCheck
from model.job import JobResult
from tests.rollouts import request

CHECK = JobCheck(name="smoke", command=("/smoke",))


@pytest.mark.parametrize(
    ("result", "health", "reason"),
    [
        (JobResult(result="succeeded", reason="JobSucceeded", message="", exit_code=0), "healthy", "JobPassed"),
        (
            JobResult(result="failed", reason="BackoffLimitExceeded", message="", exit_code=3, log="no cart"),
            "unhealthy",
            "JobFailed",
        ),
        # Out of time, never started, deleted: nobody knows.
        (
            JobResult(result="failed", reason="DeadlineExceeded", message="too long", exit_code=137),
            "inconclusive",
            "JobInconclusive",
        ),
        (JobResult(result="failed", reason="ImagePullFailed", message=""), "inconclusive", "JobInconclusive"),
        (JobResult(result="unknown", reason="JobGone", message=""), "inconclusive", "JobInconclusive"),
    ],
)
def test_only_an_exit_code_decides(result: JobResult, health: str, reason: str) -> None:
    verdict = job_check.judge(CHECK, result)
    assert (verdict.health, verdict.reason) == (health, reason)
    assert verdict.findings[0].check == "job smoke"
    assert result.log in verdict.message


def test_the_same_deployment_asks_for_the_same_job_and_another_one_for_another() -> None:
    first, again = job_check.request(request(), CHECK), job_check.request(request(), CHECK)
    later = job_check.request(request(revision=2, fence=4), CHECK)
    other = job_check.request(request(), CHECK.model_copy(update={"name": "load"}))
    assert first == again
    assert len({first.id, later.id, other.id}) == 3
