"""Events: what senders have announced, and what came of it."""

from typing import Annotated

import typer

from model.failure import UserFailure
from model.repository import normalise
from triggers.commandline.client import api_of
from triggers.commandline.output import Format, Output, columns, moment, render, show

COMMIT_SHOWN = 12


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(events)


def events(
    context: typer.Context,
    repository: Annotated[str, typer.Option("-r", "--repository", metavar="URL", help="Only this one's.")] = "",
    poison: Annotated[bool, typer.Option("--poison", help="Only deliveries that could not be read.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="How many.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """List what senders have announced lately, and what it started.

    Examples: towpath events; towpath events --poison
    """
    found = api_of(context).events(_normalised(repository), poison, limit)

    def table(wide: bool) -> str:
        header = ["AT", "KIND", "REPOSITORY", "COMMIT", "STATUS", "STAGE", "WORKFLOW", *(["URL"] if wide else [])]
        rows = [
            [
                moment(each.at),
                each.kind,
                each.repository,
                each.commit[:COMMIT_SHOWN],
                each.status.lower(),
                each.stage,
                each.workflow,
                *([each.url] if wide else []),
            ]
            for each in found
        ]
        return columns(header, rows)

    show(render(found, output, table))


def _normalised(repository: str) -> str:
    """People write an address as they clone it, or as it is shown."""
    if "://" not in repository and "@" not in repository:
        return repository
    try:
        return normalise(repository)
    except UserFailure as failure:
        raise typer.BadParameter(failure.message) from None
