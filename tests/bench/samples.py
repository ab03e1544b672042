"""Times that were measured, and what is said of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


class Samples:
    """Durations in milliseconds."""

    def __init__(self, milliseconds: Iterable[float] = ()) -> None:
        self.values = sorted(milliseconds)

    def add(self, milliseconds: float) -> None:
        """One more."""
        self.values = sorted([*self.values, milliseconds])

    def at(self, fraction: float) -> float:
        """The value below which this fraction lies (nearest rank); NaN of nothing."""
        if not self.values:
            return math.nan
        rank = max(1, math.ceil(fraction * len(self.values)))
        return self.values[rank - 1]

    @property
    def median(self) -> float:
        """p50."""
        return self.at(0.5)

    def __str__(self) -> str:
        if not self.values:
            return "none"
        return f"p50 {told(self.median)}, p99 {told(self.at(0.99))}, worst {told(self.values[-1])}"


@dataclass
class Row:
    """One line of the table. `met` is None where nothing was promised."""

    what: str
    measured: str
    floor: str
    target: str
    met: bool | None
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)


def told(milliseconds: float) -> str:
    """Milliseconds or seconds, as people say them."""
    if math.isnan(milliseconds):
        return "nothing"
    return f"{milliseconds:.1f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
