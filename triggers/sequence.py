"""The order of pushes: when they were accepted."""

from collections.abc import Callable

Clock = Callable[[], float]


class Sequence:
    """Milliseconds since the epoch, strictly growing within this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """The present millisecond, or one more than the last answer where time stands or goes back."""
        self._last = max(int(self._clock() * 1000), self._last + 1)
        return self._last
