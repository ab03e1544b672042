"""Five hundred lives of repositories, by seed: deliveries lost, doubled, late, repeated and out of order, Git
hosts that are away, a server that dies before and after it stored. Nothing that was accepted is lost, nothing is
built twice, no older head wins, and the sweep finds what nobody told.

`TOWPATH_SEEDS=17,100-199` picks some.
"""

import os
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.faults.ledgers import InMemory
from tests.faults.many import Many

SEEDS = 500
SIDE_BY_SIDE = 50


def _seeds() -> list[int]:
    told = os.environ.get("TOWPATH_SEEDS", "")
    if not told:
        return list(range(SEEDS))
    ranges = [part.partition("-") for part in told.split(",")]
    return [seed for first, _, last in ranges for seed in range(int(first), int(last or first) + 1)]


@pytest.mark.timeout(900)
async def test_whatever_becomes_of_what_is_told_the_newest_is_built_and_nothing_is_lost(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    seeds = _seeds()
    print(f"seeds {seeds[0]} to {seeds[-1]}")
    await Many(temporal.client, InMemory()).live(seeds, SIDE_BY_SIDE, tmp_path)
