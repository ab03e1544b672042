"""A Job that Towpath runs beside a component: a migration, a check, a question to answer with yes or no."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from model.release import Release
from model.rollout import Target
from model.value import Value
from model.workload import Variable

DEADLINE_LIMIT = 3600
RETRIES_LIMIT = 5
LOG_LINES = 20
LOG_LIMIT = 4096
# Longer than all tries of the activity together: a Job that is looked for again is still there.
TTL_SECONDS = 86_400

Argument = Annotated[str, Field(max_length=32_768)]


class JobRequest(Value):
    """One Job. `id` makes it idempotent: the same id is the same Job, and its command runs once.

    It runs as the release does (its image unless `image` names another, its environment variables, files
    and the way to its dependencies), with `command`, and `variables` besides. `name` is what people read.
    `deadline_seconds` is for one try; `retries` is how often a failed one is tried again.
    """

    id: str = Field(min_length=1, max_length=1000)
    name: str = Field(min_length=1, max_length=63)
    target: Target
    release: Release
    command: tuple[Argument, ...] = Field(default=(), max_length=100)
    image: str = Field(default="", max_length=1024)
    variables: tuple[Variable, ...] = Field(default=(), max_length=100)
    deadline_seconds: float = Field(default=300, ge=1, le=DEADLINE_LIMIT)
    retries: int = Field(default=0, ge=0, le=RETRIES_LIMIT)

    @model_validator(mode="after")
    def _says_what_to_run(self) -> "JobRequest":
        if not self.command and not self.image:
            raise ValueError("name a command, or an image that has one")
        return self


class JobResult(Value):
    """How a Job ended. `unknown`: nobody can say any more, which is never a success.

    `log` holds the last lines of the last try. Times are seconds since the epoch, 0 when unknown.
    """

    result: Literal["succeeded", "failed", "unknown"]
    reason: str
    message: str
    job: str = ""
    namespace: str = ""
    exit_code: int | None = None
    log: str = ""
    started_at: float = 0
    finished_at: float = 0


def finished(job: dict[str, Any]) -> tuple[Literal["succeeded", "failed"], str, str] | None:
    """Result, reason and message of a Job that has ended for good, its pods too; None while it runs.

    Conditions: https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
    """
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition.get("status") != "True":
            continue
        said = str(condition.get("message") or "")
        if condition.get("type") == "Complete":
            return "succeeded", "JobSucceeded", "The Job succeeded."
        if condition.get("type") == "Failed":
            return "failed", str(condition.get("reason") or "JobFailed"), said or "The Job failed."
    return None


def exit_code(pod: dict[str, Any], container: str) -> int | None:
    """The code that the pod's container ended with; None when it has not ended."""
    for found in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = (found.get("state") or {}).get("terminated")
        if found.get("name") == container and ended:
            code = ended.get("exitCode")
            return int(code) if code is not None else None
    return None


def newest(pods: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The pod of the last try."""
    return max(pods, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", default=None)


def last_lines(text: bytes) -> str:
    """The end of a log, printable, at most 20 lines and 4 KiB."""
    lines = text.decode(errors="replace").splitlines()[-LOG_LINES:]
    printable = "\n".join("".join(ch for ch in line if ch.isprintable()) for line in lines).strip()
    return printable.encode()[-LOG_LIMIT:].decode(errors="ignore")
