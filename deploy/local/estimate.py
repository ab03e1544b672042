"""How long a build still takes, judged by how this machine has done so far."""

from __future__ import annotations

from collections.abc import Sequence

_LEAST_SHARE = 0.1


def seconds_left(
    finished: Sequence[tuple[float, float]],
    running: Sequence[tuple[float, float]],
    waiting: Sequence[float],
) -> float:
    """Seconds until all is done, one after the other.

    A machine that took twice as long as expected for what it has finished, or
    is about to, will take twice as long for the rest.

    Args:
        finished: expected and real seconds of what is done.
        running: expected and elapsed seconds of what is under way.
        waiting: expected seconds of what has not begun.
    """
    expected = sum(seconds for seconds, _ in finished)
    pace = sum(took for _, took in finished) / expected if expected else 1.0
    pace = max([pace, *(elapsed / seconds for seconds, elapsed in running if elapsed > seconds)])
    return sum(max(seconds * pace - elapsed, elapsed * _LEAST_SHARE) for seconds, elapsed in running) + sum(
        seconds * pace for seconds in waiting
    )
