"""The CronJob of a scheduled task."""

from collections.abc import Iterable
from typing import Any

from model.connection import Connection
from model.failure import UserFailure
from model.manifests.metadata import metadata
from model.manifests.pod import pod_template
from model.rollout import RolloutRequest


def cron_job(request: RolloutRequest, connections: Iterable[Connection]) -> dict[str, Any]:
    """A CronJob; one run at a time, and a run that was missed by more than 5 minutes is left out.

    Raises:
        UserFailure: `ScheduleMissing`.
    """
    schedule = request.release.workload.schedule
    if not schedule:
        raise UserFailure(
            "ScheduleMissing",
            f"{request.release.component} is a scheduled task without a schedule; "
            "give it one in cron form, for instance '*/5 * * * *'.",
        )
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata(request),
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 300,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 2,
                    "template": pod_template(request, (), connections, restart="Never"),
                }
            },
        },
    }
