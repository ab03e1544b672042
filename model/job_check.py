"""A Job as a check of a release: what is run, and what its end comes to. Pure."""

from model import ids
from model.check import JobCheck
from model.job import JobRequest, JobResult
from model.rollout import RolloutRequest
from model.verdict import Finding, Health, Observation, Verdict

LOG_SHOWN = 500


def request(rollout: RolloutRequest, check: JobCheck) -> JobRequest:
    """The Job of one check of one deployment: once, whatever dies."""
    target = rollout.target
    where = ids.rollout(target.component.key, target.step.environment, rollout.revision)
    return JobRequest(
        id=f"{where}/{rollout.fence}/verify/{check.name}",
        name=check.name,
        target=target,
        release=rollout.release,
        command=check.command,
        image=check.image,
        deadline_seconds=check.timeout_seconds,
    )


def judge(check: JobCheck, result: JobResult) -> Verdict:
    """Exit code 0 is a pass, any other a failure. A Job without one (it could not start, ran out of time, was
    deleted) says nothing about the release."""
    log = f" Its last lines:\n{result.log[-LOG_SHOWN:]}" if result.log else ""
    if result.result == "succeeded":
        health, reason, message = _is("healthy", "JobPassed", f"Job {check.name} exited with 0.")
    elif result.result == "failed" and result.exit_code and result.reason != "DeadlineExceeded":
        said = f"Job {check.name} exited with {result.exit_code}.{log}"
        health, reason, message = _is("unhealthy", "JobFailed", said)
    else:
        said = f"Job {check.name} did not come to an answer: {result.reason}: {result.message}{log}"
        health, reason, message = _is("inconclusive", "JobInconclusive", said)
    name = f"job {check.name}"
    seen = Observation(at=result.finished_at, subject=name, value=f"{result.reason}: {result.message}"[:300])
    finding = Finding(check=name, health=health, reason=reason, message=message)
    return Verdict(health=health, reason=reason, message=message, observations=(seen,), findings=(finding,))


def _is(health: Health, reason: str, message: str) -> tuple[Health, str, str]:
    return health, reason, message
