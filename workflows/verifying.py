"""Everything that a release which runs must show: its checks, and then its Jobs."""

import asyncio

from temporalio import workflow

from workflows.effort import perform

with workflow.unsafe.imports_passed_through():
    from activities.jobs import Jobs
    from activities.verification import Verification
    from model import ids, job_check
    from model.check import JobCheck
    from model.rollout import RolloutRequest
    from model.verdict import Verdict, worst


async def verify(request: RolloutRequest) -> Verdict:
    """The worst verdict of the step's checks. Jobs run once the other checks have passed, and none on a way back.

    Raises:
        ActivityError: a step failed for good; `model` failures arrive as its cause.
    """
    queue = ids.data_queue(request.target.step.plane)
    verdict = await perform(Verification.verify, request, queue, request.release.name)
    jobs = request.target.step.policy.jobs
    if not verdict.passed or request.going_back or not jobs:
        return verdict
    return worst((verdict, *await asyncio.gather(*(_run(request, check, queue) for check in jobs))))


async def _run(request: RolloutRequest, check: JobCheck, queue: str) -> Verdict:
    result = await perform(Jobs.run, job_check.request(request, check), queue, check.name)
    return job_check.judge(check, result)
