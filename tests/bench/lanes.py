"""Random lives of lanes, more of them than `make test` has time for, and other ones each time."""

import time

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.bench.samples import Row
from tests.lanes import LaneMachine

STEPS = 40


def measure(lives: int) -> Row:
    """Drive lanes through random pushes, approvals, holds, failures, rollbacks, alarms and restarts.

    Raises:
        AssertionError: a promise was broken; Hypothesis tells the shortest life in which it was.
    """
    wanted = settings(
        max_examples=lives, stateful_step_count=STEPS, deadline=None, database=None, phases=tuple(Phase)
    )
    begun = time.monotonic()
    run_state_machine_as_test(LaneMachine, settings=wanted)
    took = time.monotonic() - begun
    return Row(
        what=f"{lives} random lives of a lane, of up to {STEPS} steps",
        measured=f"no promise broken, {took:.0f} s",
        floor="",
        target="no promise broken",
        met=True,
        numbers={"lives": lives, "seconds": took},
    )
