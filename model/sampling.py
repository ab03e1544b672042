"""When a run of answers settles a check. Pure.

A pass is an answer; silence never is one.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from model.check import Limits
from model.value import Value
from model.verdict import Finding, Health, Observation, Verdict

KEPT = 10
SHOWN = 300

Result = Literal["passed", "failed", "unreachable"]
"""What asking once came to; `unreachable`: no answer that says anything."""


class Settled(NamedTuple):
    """How the asking ended, and why: enough in a row (`run`), too much to and fro, or out of time."""

    health: Health
    by: Literal["run", "wavering", "deadline"]
    run: int


def settle(limits: Limits, results: Sequence[Result]) -> Settled | None:
    """What the answers so far come to, or None when more are needed.

    Healthy only when the last `samples` passed. Whoever neither passes nor fails often enough in a row is
    asked `attempts` times at most: a failure among these is unhealthy, nothing but silence between passes
    inconclusive.
    """
    if not results:
        return None
    run = run_at_end(results)
    last = results[-1]
    if last == "passed" and run >= limits.samples:
        return Settled("healthy", "run", run)
    if last == "failed" and run >= limits.failure_limit:
        return Settled("unhealthy", "run", run)
    if last == "unreachable" and run >= limits.error_limit:
        return Settled("inconclusive", "run", run)
    if len(results) < attempts(limits):
        return None
    return Settled("unhealthy" if "failed" in results else "inconclusive", "wavering", run)


def at_deadline(results: Sequence[Result]) -> Settled:
    """What the answers come to when there is no time for more: unhealthy if the last one failed."""
    failing = bool(results) and results[-1] == "failed"
    return Settled("unhealthy" if failing else "inconclusive", "deadline", run_at_end(results))


def attempts(limits: Limits) -> int:
    """How often is asked at most."""
    return 3 * max(limits.samples, limits.failure_limit) + limits.error_limit


def run_at_end(results: Sequence[Result]) -> int:
    """How many results at the end are the same as the last."""
    run = 0
    for result in reversed(results):
        if result != results[-1]:
            break
        run += 1
    return run


class Sample(Value):
    """Asking once (`at`: seconds since the epoch). `said` tells what was seen, as the rest of a sentence that
    begins with the subject. `lasting`: asking again would come to the same."""

    at: float
    result: Result
    said: str = ""
    lasting: bool = False


class Asked(Value):
    """What is asked of a running release. `subject` begins sentences, `name` marks observations.

    `passed`, `failed` and `unanswered` are reasons; `hint` says what to do when there is no answer.
    """

    name: str
    subject: str
    limits: Limits
    passed: str
    failed: str
    unanswered: str
    hint: str = ""


def judge(asked: Asked, samples: Sequence[Sample], late: bool = False) -> Verdict | None:
    """The verdict on one check, or None when more answers are needed and it is not too late for them."""
    results = [sample.result for sample in samples]
    settled = settle(asked.limits, results) or (at_deadline(results) if late else None)
    if settled is None and samples and samples[-1].lasting:
        settled = Settled("inconclusive", "run", 1)
    if settled is None:
        return None
    reason = {"healthy": asked.passed, "unhealthy": asked.failed, "inconclusive": asked.unanswered}[settled.health]
    message = _message(asked, samples, settled)
    return Verdict(
        health=settled.health,
        reason=reason,
        message=message,
        observations=tuple(observation(asked, sample) for sample in samples[-KEPT:]),
        findings=(Finding(check=asked.name, health=settled.health, reason=reason, message=message),),
    )


def observation(asked: Asked, sample: Sample) -> Observation:
    """One answer as it is kept."""
    return Observation(at=sample.at, subject=asked.name, value=f"{sample.result}: {sample.said}"[:SHOWN])


def _message(asked: Asked, samples: Sequence[Sample], settled: Settled) -> str:
    telling = [sample for sample in samples if sample.result == "failed"] or list(samples)
    said = samples[-1].said if settled.by == "run" else telling[-1].said if telling else "was not asked at all"
    sentence = f"{asked.subject} {said}"
    if settled.by == "run":
        sentence += f", {settled.run} times in a row." if settled.run > 1 else "."
    elif settled.by == "wavering":
        failed = sum(sample.result == "failed" for sample in samples)
        passed = sum(sample.result == "passed" for sample in samples)
        sentence = f"Of {len(samples)} answers {passed} passed and {failed} failed. {sentence}."
    else:
        passed = run_at_end([sample.result for sample in samples]) if samples else 0
        passed = passed if samples and samples[-1].result == "passed" else 0
        sentence = (
            f"There was no time for more: {passed} of {asked.limits.samples} passes in a row. {sentence}. "
            "Give it more time with verification.deadline, or ask less."
        )
    return f"{sentence} {asked.hint}".strip() if settled.health == "inconclusive" else sentence
