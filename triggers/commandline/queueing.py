"""Queueing: who builds on a plane, who waits, and what for."""

from typing import Annotated

import typer

from model.build_queue import Entry, QueueView
from model.queue_story import headline, subject
from triggers.commandline.client import api_of
from triggers.commandline.output import Format, Output, age, columns, keep_showing, render, show

PlaneName = Annotated[str, typer.Argument(metavar="[PLANE]", help="A build plane; `default` without.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(queue)


def queue(
    context: typer.Context,
    plane: PlaneName = "default",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep showing it.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show who builds on a plane, and who waits for a slot and what for, in the order of their turns.

    Examples: towpath queue; towpath queue gpu --watch
    """
    api = api_of(context)

    def make() -> str:
        found = api.queue(plane)
        return render(found, output, lambda wide: _table(found, wide, api.clock()))

    if watch:
        keep_showing(make, api.pause)
    show(make())


def _table(found: QueueView, wide: bool, now: float) -> str:
    header = ["TURN", "COMPONENT", "BUILD", "PROJECT", "PRIORITY", "FOR", "WHY"]
    header += ["WORKFLOW"] if wide else []
    rows: list[tuple[str, Entry, float, str]] = []
    for running in found.running:
        why = f"gives way to {subject(running.gives_way)[1]}" if running.gives_way else ""
        rows.append(("runs", running.entry, running.granted_at, why))
    for waiting in found.waiting:
        why = f"{waiting.reason}: {waiting.message}" if wide else waiting.reason
        rows.append((str(waiting.position), waiting.entry, waiting.entry.since, why))
    cells = [
        [turn, *subject(entry.build), entry.project, entry.priority, age(since, now), why]
        + ([entry.build] if wide else [])
        for turn, entry, since, why in rows
    ]
    return "\n".join([headline(found), *([columns(header, cells)] if cells else [])])
