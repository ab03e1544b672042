"""Hooks: Jobs before a release is applied and after it was verified, and how they are undone."""

from typing import Literal

from pydantic import Field

from model.value import Value
from model.workload import Variable

COMPENSATION_RETRIES = 2


class Hook(Value):
    """One Job of a deployment, as `model.job.JobRequest` runs it: once a revision.

    `compensation` is the command that undoes it (empty: nothing does, or need). It may be run again after
    it failed, so it must do no harm where there is nothing left to undo.
    """

    name: str
    command: tuple[str, ...] = ()
    image: str = ""
    variables: tuple[Variable, ...] = ()
    deadline_seconds: float = Field(default=300, ge=1)
    retries: int = Field(default=0, ge=0)
    compensation: tuple[str, ...] = ()


class Undoing(Value):
    """A hook that was done (or may have been) for a release and can be undone. `id` is the Job's."""

    id: str
    hook: Hook
    when: Literal["before", "after"]


def may_be_done(result: str, reason: str) -> bool:
    """Whether a hook's effects must be reckoned with, by its `JobResult`.

    One that exited with an error says itself that it did not do its work, and one that never started cannot
    have. One that was killed half-way or lost sight of may have come far.
    """
    if result == "failed":
        return reason in ("DeadlineExceeded", "Cancelled")
    return True
