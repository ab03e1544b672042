"""`python -m tests.bench`: measure the running stack. `--burst 0` and `--pushes 0` leave the long parts out."""

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.bench import ingest, journey, lanes, load, monorepo, submission
from tests.bench import waiting as gates
from tests.bench.ground import Ground
from tests.bench.origin import Origin
from tests.bench.plane import served
from tests.bench.samples import Row

PACED = 40


def main(arguments: Sequence[str]) -> int:
    """Measure and print; with `--strict` the exit code says whether all targets were met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--webhooks", type=int, default=100, metavar="N", help="how many webhooks to time")
    parser.add_argument("--burst", type=int, default=500, metavar="N", help="how many pushes at once")
    parser.add_argument("--pushes", type=int, default=3, metavar="N", help="how many real builds and rollouts")
    parser.add_argument(
        "--waiting", type=int, default=10_000, metavar="N", help="how many wait at gates (0: none)"
    )
    parser.add_argument("--lives", type=int, default=10_000, metavar="N", help="how many random lives of a lane")
    parser.add_argument("--no-load", action="store_true", help="leave the webhooks in an open loop out")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args(arguments)
    begun = time.monotonic()
    rows = asyncio.run(
        run(options.webhooks, options.burst, options.pushes, options.waiting, options.lives, not options.no_load)
    )
    load = os.getloadavg()[1]
    took = time.monotonic() - begun
    if options.output == "json":
        result = {"rows": [dataclasses.asdict(row) for row in rows], "seconds": round(took), "load": load}
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        show(rows)
        print(
            f"{took:.0f} s on {os.cpu_count()} cores, load {load:.1f}; the bench shares them with all it measures."
        )
    return 1 if options.strict and any(row.met is False for row in rows) else 0


async def run(webhooks: int, burst: int, pushes: int, waiting: int, lives: int, loads: bool) -> list[Row]:
    """All measurements, one after the other."""
    rows: list[Row] = []
    async with Ground.stand() as ground:
        if pushes:
            say(f"{pushes} pushes through to production, and one that crashes ...")
            rows += map(told, await journey.measure(ground, pushes))
        origin = Origin(ground.settings, f"bench/burst-{int(time.time())}")
        try:
            with served(ground.settings):
                say(f"{PACED} pushes, one at a time ...")
                await submission.declare(ground, origin, range(PACED))
                async with submission.watched(ground) as seen:
                    rows.insert(0, told(await submission.one_by_one(ground, origin, seen, PACED)))
                    say(f"{webhooks} webhooks ...")
                    rows.insert(0, told(await ingest.measure(ground, origin, webhooks)))
                    say(f"A repository of {monorepo.COMPONENTS} components ...")
                    rows.append(told(await monorepo.measure(ground, origin, seen)))
                    if loads:
                        say("Webhooks in an open loop, faster and faster ...")
                        rows += map(told, await load.measure(ground, origin))
                    if burst:
                        say(f"{burst} pushes at once (declaring {burst} components first) ...")
                        await submission.declare(ground, origin, range(burst))
                        rows.insert(2, told(await submission.at_once(ground, origin, seen, burst)))
        finally:
            await submission.clear(ground)
            origin.remove()
        if waiting:
            say(f"{waiting} releases that wait for people ...")
            rows.append(told(await gates.measure(ground.settings, waiting)))
    if lives:
        say(f"{lives} random lives of a lane ...")
        # In a thread: Hypothesis wants no loop around it.
        rows.append(told(await asyncio.to_thread(lanes.measure, lives)))
    return rows


def show(rows: list[Row]) -> None:
    """The table for people."""
    table = Table(show_lines=True)
    for column in ("what", "measured", "raw floor, same run", "target", "met"):
        table.add_column(column, overflow="fold")
    for row in rows:
        measured = "\n".join([row.measured, *row.notes])
        table.add_row(row.what, measured, row.floor, row.target, {True: "yes", False: "NO", None: ""}[row.met])
    Console(width=max(120, Console().width)).print(table)


def told(row: Row) -> Row:
    """The row, said at once: what comes after it may fail, or take long."""
    say(f"  {row.what}: {row.measured}")
    return row


def say(what: str) -> None:
    """Progress, beside the results."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
