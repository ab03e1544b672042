"""What a vigil sees: each look asks every check once, and a run of failing looks is an alarm. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from model.check import Limits
from model.health import CONTAINER, main_status
from model.sampling import Asked, Result, Sample, observation
from model.trouble import of_pod
from model.value import Value
from model.verdict import Finding, Observation, Verdict

Object = Mapping[str, Any]
OBSERVATIONS_KEPT = 40
RESTARTS_LIMIT = 3
PODS = Asked(
    name="pods",
    subject="The pods",
    limits=Limits(failure_limit=3, error_limit=3),
    passed="PodsRunning",
    failed="PodsUnhealthy",
    unanswered="PodsUnseen",
)


class Memory(Value):
    """What the looks before have left: for each check how many in a row failed or said nothing; for each pod
    (uid) its restarts at the last look, and at the first; and how often pods have restarted since."""

    looks: int = 0
    failing: dict[str, int] = {}
    silent: dict[str, int] = {}
    restarts: dict[str, int] = {}
    behind: dict[str, int] = {}
    restarted: int = 0
    observations: tuple[Observation, ...] = ()


class Answered(NamedTuple):
    """What one check came to in one look. `certain`: this one look is enough."""

    asked: Asked
    sample: Sample
    certain: bool = False


class Sight(Value):
    """What a look came to: what is to be remembered, the alarm if there is one, and what is unclear."""

    memory: Memory
    alarm: Verdict | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def unclear(self) -> tuple[Finding, ...]:
        """The checks of which this look could not tell."""
        return tuple(finding for finding in self.findings if finding.health == "inconclusive")


def look(memory: Memory, answers: Sequence[Answered]) -> Sight:
    """Put one look's answers to those before.

    A check whose failures in a row reach its limit is an alarm. One that is silent breaks no run of failures
    and makes none.
    """
    failing, silent = dict(memory.failing), dict(memory.silent)
    findings: list[Finding] = []
    alarms: list[tuple[Answered, int]] = []
    for answered in answers:
        name, result = answered.asked.name, answered.sample.result
        failing[name], silent[name] = _runs(result, failing.get(name, 0), silent.get(name, 0))
        limits = answered.asked.limits
        if result == "failed" and (answered.certain or failing[name] >= limits.failure_limit):
            alarms.append((answered, failing[name]))
        findings.append(_finding(answered, silent[name]))
    seen = tuple(observation(answered.asked, answered.sample) for answered in answers)
    kept = memory.model_copy(
        update={
            "looks": memory.looks + 1,
            "failing": failing,
            "silent": silent,
            "observations": (*memory.observations, *seen)[-OBSERVATIONS_KEPT:],
        }
    )
    alarm = _alarm(alarms, kept, tuple(findings)) if alarms else None
    return Sight(memory=kept, alarm=alarm, findings=tuple(findings))


def pods_seen(memory: Memory, pods: Sequence[Object], replicas: int, now: float) -> tuple[Memory, Answered]:
    """What the release's own pods (those on their way out excepted) say, and their restarts to remember."""
    counts = {str(pod["metadata"]["uid"]): int(main_status(pod).get("restartCount") or 0) for pod in pods}
    behind = {uid: memory.behind.get(uid, 0 if memory.looks else count) for uid, count in counts.items()}
    new = sum(max(0, count - memory.restarts.get(uid, behind[uid])) for uid, count in counts.items())
    memory = memory.model_copy(update={"restarts": counts, "behind": behind, "restarted": memory.restarted + new})
    if not pods:
        return memory, _pods(
            "unreachable" if replicas else "passed", "are gone: none of the release is there", now
        )
    for pod in pods:
        trouble = of_pod(dict(pod), CONTAINER, behind[str(pod["metadata"]["uid"])])
        if trouble is not None and (trouble.reason == "CrashLoop" or not new):
            said = f"are in trouble: {trouble.reason}: {trouble.message}".rstrip(".")
            return memory, _pods("failed", said, now, certain=trouble.reason == "CrashLoop")
    if new:
        said = f"restarted: {new} since the last look, {memory.restarted} since the first"
        return memory, _pods("failed", said, now, certain=memory.restarted >= RESTARTS_LIMIT)
    ready = sum(_is_ready(pod) for pod in pods)
    if ready < min(replicas, len(pods)):
        return memory, _pods("failed", f"are not all ready: {ready} of {replicas}", now)
    return memory, _pods("passed", f"run: {ready} ready", now)


def summary(memory: Memory, seconds: float, unclear: Sequence[Finding] = ()) -> Verdict:
    """The verdict at the end of a vigil without an alarm; one that could not look is not healthy."""
    if not memory.looks:
        return Verdict(
            health="inconclusive", reason="NeverLooked", message="Not one look was possible while it was watched."
        )
    if unclear:
        said = " ".join(finding.message for finding in unclear)
        return Verdict(
            health="inconclusive",
            reason="WatchedUnclear",
            message=f"At the end of {seconds:g} s nobody could tell: {said}",
            observations=memory.observations,
            findings=tuple(unclear),
        )
    return Verdict(
        health="healthy",
        reason="StayedHealthy",
        message=f"In {memory.looks} looks over {seconds:g} s no check failed as often in a row as its limit.",
        observations=memory.observations,
    )


def _runs(result: Result, failing: int, silent: int) -> tuple[int, int]:
    if result == "failed":
        return failing + 1, 0
    return (failing, silent + 1) if result == "unreachable" else (0, 0)


def _finding(answered: Answered, silent: int) -> Finding:
    asked, sample = answered.asked, answered.sample
    if sample.result == "unreachable":
        return Finding(
            check=asked.name,
            health="inconclusive",
            reason=asked.unanswered,
            message=f"{asked.subject} {sample.said}" + (f", {silent} looks in a row." if silent > 1 else "."),
        )
    health, reason = ("unhealthy", asked.failed) if sample.result == "failed" else ("healthy", asked.passed)
    return Finding.model_validate(
        {"check": asked.name, "health": health, "reason": reason, "message": sample.said}
    )


def _alarm(alarms: Sequence[tuple[Answered, int]], memory: Memory, findings: tuple[Finding, ...]) -> Verdict:
    first, run = alarms[0]
    often = f", {run} looks in a row" if run > 1 else ""
    return Verdict(
        health="unhealthy",
        reason=first.asked.failed,
        message=f"It turned unhealthy after its promotion. {first.asked.subject} {first.sample.said}{often}.",
        observations=memory.observations,
        findings=findings,
    )


def _pods(result: Result, said: str, now: float, certain: bool = False) -> Answered:
    return Answered(PODS, Sample(at=now, result=result, said=said), certain)


def _is_ready(pod: Object) -> bool:
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in (pod.get("status") or {}).get("conditions") or []
    )
