"""Schedules: which components are built at times of their own."""

import typer

from triggers.commandline.client import api_of
from triggers.commandline.output import Format, Output, columns, moment, render, show


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(schedules)


def schedules(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the components that are built at times of their own, and when next.

    Examples: towpath schedules; towpath schedules -o wide
    """
    found = api_of(context).schedules()

    def table(wide: bool) -> str:
        header = ["COMPONENT", "TIMES", "BRANCH", "NEXT", "LAST", "WENT", *(["WORKFLOW", "URL"] if wide else [])]
        rows = [
            [
                each.component,
                "; ".join(each.times),
                each.branch,
                moment(each.next_at) or each.problem,
                moment(each.last_at),
                each.last,
                *([each.workflow, each.url] if wide else []),
            ]
            for each in found
        ]
        return columns(header, rows)

    show(render(found, output, table))
