"""Sweeps: look at a repository now for what its webhooks have missed."""

import uuid
from typing import Annotated

import typer

from triggers.commandline.application import Exit, Trouble
from triggers.commandline.building import tell
from triggers.commandline.client import api_of
from triggers.commandline.output import Format, Output, columns, printable, render, show

_GOOD = ("Found", "NothingMissed")
_STILL = ("Looking",)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(sweep)


def sweep(
    context: typer.Context,
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="Its address.")],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Until it has looked, and tell what it found.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 300,
    output: Output = Format.TABLE,
) -> None:
    """Look at a repository now, and start what nobody has announced. With --wait the exit code is 1 when it cannot
    be looked at.

    Examples: towpath sweep https://git.example/team/hello-world.git
    towpath sweep https://git.example/team/hello-world.git --wait
    """
    api, request = api_of(context), uuid.uuid4().hex
    accepted = api.sweep(repository, request)
    if not wait:
        tell(accepted, output)
        return
    until = api.clock() + timeout
    while (found := api.swept(repository, request)).open or found.outcome in _STILL:
        if api.clock() > until:
            raise Trouble(f"It still looks after {timeout:.0f} s.", f"See {found.url or found.workflow}.")
        api.pause(1)

    def table(_wide: bool) -> str:
        rows = [[each.found, each.subject, each.commit[:12], each.result, each.workflow] for each in found.found]
        told = f"{found.outcome}: {printable(found.message)}"
        return f"{told}\n{columns(['FOUND', 'WHAT', 'COMMIT', 'RESULT', 'WORKFLOW'], rows)}" if rows else told

    show(render(found, output, table))
    raise typer.Exit(Exit.DONE if found.outcome in _GOOD else Exit.FAILED)
