"""Steering a canary or blue-green deployment that is under way: proceed, abort."""

import typer

from triggers.commandline.building import tell
from triggers.commandline.client import api_of
from triggers.commandline.output import Environment, Format, Name, Output, Reason


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (proceed, abort):
        app.command()(command)


def proceed(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Let a release that waits at a stop go on: to its next weight, or to the switch.

    Examples: towpath proceed hello-world -e production --reason "looked at the preview"
    """
    tell(api_of(context).steer(name, f"lanes/{environment}/proceed", {"reason": reason}), output)


def abort(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Take a release that is on its way back; what ran before takes all the traffic at once.

    Examples: towpath abort hello-world -e production --reason "errors in the canary's log"
    """
    tell(api_of(context).steer(name, f"lanes/{environment}/abort", {"reason": reason}), output)
