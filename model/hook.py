"""Hooks: Jobs before a release is applied and after it was verified, and how they are undone."""

from typing import Literal

from pydantic import Field

from model.release import Release
from model.value import Value
from model.verdict import Observation, Verdict
from model.workload import Variable

COMPENSATION_RETRIES = 2
MESSAGE_LIMIT = 3000
LOG_LIMIT = 1500


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
    """A hook that was done (or may have been) for a release and can be undone.

    `id` is the Job's, `revision` that of the lane for which it ran.
    """

    id: str
    hook: Hook
    when: Literal["before", "after"]
    release: Release
    revision: int


class Outcome(Value):
    """How a hook's Job ended, in so far as its deployment cares. `at`: seconds since the epoch."""

    result: Literal["succeeded", "failed", "unknown"]
    reason: str
    message: str
    exit_code: int | None = None
    log: str = ""
    at: float = 0


def may_be_done(outcome: Outcome) -> bool:
    """Whether a hook's effects must be reckoned with.

    One that exited with an error says itself that it did not do its work, and one that never started cannot
    have. One that was killed half-way or lost sight of may have come far.
    """
    if outcome.result == "failed":
        return outcome.reason in ("DeadlineExceeded", "Cancelled")
    return True


def verdict(name: str, when: str, outcome: Outcome) -> Verdict:
    """What a hook that did not succeed means for its deployment; an unknown end is inconclusive."""
    untouched = " Nothing of the release was applied." if when == "before" else ""
    said = f" Its last lines:\n{outcome.log}" if outcome.log else ""
    return Verdict(
        health="unhealthy" if outcome.result == "failed" else "inconclusive",
        reason="HookFailed",
        message=f"Hook {name} ({when}): {outcome.reason}: {outcome.message}{untouched}{said}"[:MESSAGE_LIMIT],
    )


def observation(name: str, what: str, outcome: Outcome) -> Observation:
    """A hook's end, kept with the verdict."""
    code = "" if outcome.exit_code is None else f" (exit code {outcome.exit_code})"
    seen = f"{outcome.reason}{code}" + (f": {outcome.log}" if outcome.log else "")
    return Observation(at=outcome.at, subject=f"hook {name} ({what})", value=seen[:LOG_LIMIT])
