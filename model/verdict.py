"""What was seen, and what it means. No data is never healthy."""

from typing import Literal

from model.value import Value

Health = Literal["healthy", "unhealthy", "inconclusive"]


class Observation(Value):
    """One thing that was looked at: when (seconds since the epoch), where, and what was seen."""

    at: float
    subject: str
    value: str


class Verdict(Value):
    """A judgement with a stable reason (CamelCase), a message that says what to do, and its grounds."""

    health: Health
    reason: str
    message: str
    observations: tuple[Observation, ...] = ()

    @property
    def passed(self) -> bool:
        """Only healthy passes; inconclusive does not."""
        return self.health == "healthy"


_ORDER: dict[Health, int] = {"unhealthy": 0, "inconclusive": 1, "healthy": 2}


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """The worst of several verdicts, with everybody's observations; of none at all: inconclusive."""
    if not verdicts:
        return Verdict(health="inconclusive", reason="NothingObserved", message="Nothing was checked.")
    chosen = min(verdicts, key=lambda verdict: _ORDER[verdict.health])
    seen = tuple(observation for verdict in verdicts for observation in verdict.observations)
    return chosen.model_copy(update={"observations": seen})
