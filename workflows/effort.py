"""How long every activity may take and how it is tried again: the one table, and the one way to use it.

Where the table is silent an activity fails at its first call, so that nothing runs without limits.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

from workflows.cause import cause_of

with workflow.unsafe.imports_passed_through():
    from model import ids

P = TypeVar("P")
R = TypeVar("R")

USER_FAILURES = ["UserFailure", "NotFound", "Conflict", "Refused"]

QUICK = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=15),
    non_retryable_error_types=USER_FAILURES,
)
ONCE = RetryPolicy(maximum_attempts=1)
PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(minutes=1),
    non_retryable_error_types=USER_FAILURES,
)


@dataclass(frozen=True)
class Effort:
    """Limits in seconds: `once` for one try, `overall` for all tries together, `heartbeat` (0: none)."""

    once: float
    overall: float
    heartbeat: float = 0
    retry: RetryPolicy = field(default_factory=lambda: QUICK)
    finish_when_cancelled: bool = False


# A build may take its own timeout (at most 6 h); a rollout its own deadline (at most 1 h).
TABLE: dict[str, Effort] = {
    "source.changes": Effort(once=120, overall=6 * 3600, heartbeat=0, retry=PATIENT),
    "resources.components_for": Effort(once=15, overall=3600),
    # A build that is under way is waited for.
    "tags.adopt": Effort(once=24 * 3600, overall=48 * 3600, heartbeat=6, retry=PATIENT),
    # A Git server that is away for hours is waited for: nothing is lost, and the next sweep is left out meanwhile.
    "sweeps.look": Effort(once=300, overall=6 * 3600, retry=PATIENT),
    "sweeps.redeliver": Effort(once=120, overall=900, retry=PATIENT),
    "sweeps.standing": Effort(once=20, overall=3600),
    "ledgers.read": Effort(once=10, overall=3600),
    "ledgers.handled": Effort(once=20, overall=3600),
    "ledgers.record": Effort(once=10, overall=3600),
    "resources.component": Effort(once=15, overall=3600),
    "resources.pipeline": Effort(once=20, overall=3600),
    "resources.released": Effort(once=15, overall=3600),
    "resources.record_release": Effort(once=15, overall=3600),
    "resources.bind": Effort(once=15, overall=600),
    "resources.tell": Effort(once=10, overall=600),
    "marks.of": Effort(once=10, overall=3600),
    "lanes.request": Effort(once=10, overall=24 * 3600),
    "timetable.look": Effort(once=5, overall=600),
    "standings.of": Effort(once=10, overall=60),
    "soaking.steady": Effort(once=15, overall=60),
    "outside.ask": Effort(once=75, overall=120),
    "lanes.open_runs": Effort(once=10, overall=3600),
    "queues.enter": Effort(once=15, overall=24 * 3600),
    "queues.wake": Effort(once=10, overall=3600),
    "queues.look": Effort(once=60, overall=300),
    "builds.submit": Effort(once=20, overall=3600),
    "builds.older": Effort(once=20, overall=3600),
    "builds.watch": Effort(once=6 * 3600 + 600, overall=12 * 3600, heartbeat=6),
    "builds.stop": Effort(once=20, overall=3600),
    "cluster.apply": Effort(once=60, overall=600, heartbeat=6, finish_when_cancelled=True),
    "cluster.watch": Effort(once=3600 + 60, overall=2 * 3600, heartbeat=6),
    # A canary may wait for a person as long as the gate lasts.
    "progress.guard": Effort(once=35 * 86_400, overall=35 * 86_400, heartbeat=6),
    "progress.proceed": Effort(once=20, overall=600),
    "progress.weigh": Effort(once=20, overall=600),
    "progress.abort": Effort(once=20, overall=600, finish_when_cancelled=True),
    "cluster.remove": Effort(once=120, overall=7 * 86_400, heartbeat=6, finish_when_cancelled=True),
    # A Job's tries may take an hour each, and it is kept for a day: every try of this finds the same one.
    "jobs.run": Effort(once=8 * 3600, overall=16 * 3600, heartbeat=6, finish_when_cancelled=True),
    # As long as a build of the branch may take.
    "adoption.find": Effort(once=7 * 3600, overall=14 * 3600, heartbeat=6),
    "comments.look": Effort(once=60, overall=3600, heartbeat=6, retry=PATIENT),
    "comments.act": Effort(once=60, overall=1800, retry=PATIENT),
    "comments.reply": Effort(once=60, overall=1800, heartbeat=6, retry=PATIENT),
    "deletions.look": Effort(once=120, overall=6 * 3600, retry=PATIENT),
    "trusting.judge": Effort(once=30, overall=3600, retry=PATIENT),
    "previews.candidates": Effort(once=20, overall=3600),
    "previews.plan": Effort(once=20, overall=3600),
    "previews.tell": Effort(once=10, overall=24 * 3600),
    "previews.ahead": Effort(once=10, overall=3600),
    "preview.address": Effort(once=10, overall=300),
    "preview.remove": Effort(once=120, overall=7 * 86_400, heartbeat=6),
    # Longer than a worker may be away; less than what the statuses remember (model.statuses.MEMORY_SECONDS).
    "statuses.tell": Effort(once=10, overall=24 * 3600),
    # Once: what to do about a failure is the entity's to say, which may have something newer to tell by then.
    "statuses.say": Effort(once=90, overall=3600, heartbeat=6, retry=ONCE),
    # A person waits for the answer.
    "webhooks.register": Effort(once=15, overall=20),
    "webhooks.unregister": Effort(once=15, overall=20),
    "webhooks.check": Effort(once=15, overall=20),
    "webhooks.prepare": Effort(once=20, overall=600),
    "webhooks.install": Effort(once=60, overall=6 * 3600, retry=PATIENT),
    "webhooks.promote": Effort(once=20, overall=24 * 3600, retry=PATIENT),
    "webhooks.retire": Effort(once=20, overall=24 * 3600, retry=PATIENT),
    "requests.report": Effort(once=120, overall=1800, heartbeat=6, retry=PATIENT),
    "gitops.write": Effort(once=300, overall=3600, heartbeat=6, retry=PATIENT, finish_when_cancelled=True),
    "gitops.merged": Effort(once=31 * 86_400, overall=31 * 86_400, heartbeat=10, retry=PATIENT),
    "gitops.withdraw": Effort(once=120, overall=3600, retry=PATIENT),
    "gitops.holds": Effort(once=120, overall=1800, retry=PATIENT),
    "gitops.applied": Effort(once=3600 + 60, overall=2 * 3600, heartbeat=6),
    "bindings.look": Effort(once=15, overall=3600),
    "bindings.answer": Effort(once=15, overall=600),
    # Whatever goes wrong with a sink is a result; the outbox itself tries again for a day.
    "sinks.deliver": Effort(once=300, overall=900, heartbeat=0),
    "outboxes.publish": Effort(once=10, overall=3600),
    "images.followers": Effort(once=15, overall=3600),
    "images.known": Effort(once=15, overall=3600),
    "images.followed": Effort(once=120, overall=600),
    "images.highest": Effort(once=300, overall=900, retry=PATIENT),
    "images.resolve": Effort(once=120, overall=6 * 3600, retry=PATIENT),
    "commits.own": Effort(once=10, overall=120),
    "gitops.found": Effort(once=15, overall=600),
    # All checks together have an hour at most; the verdict falls at their deadline, whichever try that is.
    "verification.verify": Effort(once=3600 + 60, overall=2 * 3600, heartbeat=6),
    "verification.look": Effort(once=90, overall=180, heartbeat=6),
}


AT_ONCE = timedelta(seconds=3)
"""How long the quick try of `perform_here` may take: well within the 10 s that a workflow task has."""


async def perform_here(step: Callable[[Any, P], Awaitable[R]], argument: P, summary: str = "") -> R:
    """Run a read of some milliseconds in this very worker, which saves two round trips to the server.

    Only what serves the control queue can be asked for so. What does not succeed at once, for a reason that
    is not the user's, is performed as usual.

    Raises:
        FailureError: as `perform`, but local activities' failures come as they are, not as ActivityErrors.
    """
    try:
        return await workflow.execute_local_activity_method(
            step,
            argument,
            schedule_to_close_timeout=AT_ONCE,
            retry_policy=RetryPolicy(maximum_attempts=1),
            summary=summary or None,
        )
    except FailureError as error:
        if is_cancelled_exception(error) or cause_of(error).fault == "user":
            raise
    return await perform(step, argument, summary=summary)


async def perform(
    step: Callable[[Any, P], Awaitable[R]],
    argument: P,
    queue: str = ids.CONTROL_QUEUE,
    summary: str = "",
) -> R:
    """Run an activity method of an `activities` class within the limits of the table.

    Raises:
        ActivityError: it failed for good; `model` failures arrive as its cause (see `workflows.cause`).
    """
    definition = getattr(step, "__temporal_activity_definition")
    effort = TABLE[definition.name]
    return await workflow.execute_activity_method(
        step,
        argument,
        task_queue=queue,
        start_to_close_timeout=timedelta(seconds=effort.once),
        schedule_to_close_timeout=timedelta(seconds=effort.overall),
        heartbeat_timeout=timedelta(seconds=effort.heartbeat) if effort.heartbeat else None,
        retry_policy=effort.retry,
        cancellation_type=(
            ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
            if effort.finish_when_cancelled
            else ActivityCancellationType.TRY_CANCEL
        ),
        summary=summary or None,
    )
