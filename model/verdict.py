"""What was seen, and what it means. No data is never healthy."""

from typing import Literal

from model.value import Value

Health = Literal["healthy", "unhealthy", "inconclusive"]
OBSERVATIONS_LIMIT = 100
FINDINGS_LIMIT = 50


class Observation(Value):
    """One thing that was looked at: when (seconds since the epoch), where, and what was seen."""

    at: float
    subject: str
    value: str


class Finding(Value):
    """What one of several checks came to."""

    check: str
    health: Health
    reason: str
    message: str = ""


class Verdict(Value):
    """A judgement with a stable reason (CamelCase), a message that says what to do, and its grounds.

    `findings` are the checks that it is put together from, where there were several.
    """

    health: Health
    reason: str
    message: str
    observations: tuple[Observation, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def passed(self) -> bool:
        """Only healthy passes; inconclusive does not."""
        return self.health == "healthy"


_ORDER: dict[Health, int] = {"unhealthy": 0, "inconclusive": 1, "healthy": 2}


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The worst of several verdicts, with everybody's findings and observations; of none: inconclusive.

    At most `OBSERVATIONS_LIMIT` are kept, those of the worst verdict first.
    """
    if not verdicts:
        return Verdict(health="inconclusive", reason="NothingObserved", message="Nothing was checked.")
    chosen = min(verdicts, key=lambda verdict: _ORDER[verdict.health])
    ranked = [chosen, *(verdict for verdict in verdicts if verdict is not chosen)]
    kept = [observation for verdict in ranked for observation in verdict.observations][:OBSERVATIONS_LIMIT]
    seen = tuple(sorted(kept, key=lambda observation: observation.at))
    findings = tuple(finding for verdict in verdicts for finding in verdict.findings)
    return chosen.model_copy(update={"observations": seen, "findings": findings[:FINDINGS_LIMIT]})
