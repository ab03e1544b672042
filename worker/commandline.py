"""`towpath`: every command, put together."""

import asyncio
import sys
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError

from deploy.local.commandline import app as local
from model.failure import Failure
from triggers.commandline import app
from worker.settings import Settings

app.add_typer(local, name="local", help="The local stack: up, down, status, logs, env.")


class PlaneName(StrEnum):
    """The planes that a worker can serve."""

    control = "control"
    build = "build"
    data = "data"


@app.command()
def worker(plane: Annotated[PlaneName, typer.Argument(help="Which plane this worker serves.")]) -> None:
    """Run a worker of a plane until it is stopped.

    Settings come from the environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TOWPATH_KUBECONFIG ...

    Example: towpath worker data
    """
    from worker import process

    asyncio.run(process.run(plane.value, _settings()))


@app.command()
def serve() -> None:
    """Run the server: webhooks and API.

    Example: TOWPATH_LISTEN=0.0.0.0:8480 TOWPATH_TOKENS=tokens.json towpath serve
    """
    from worker import serve as server

    asyncio.run(server.run(_settings()))


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        fields = ", ".join(f"TOWPATH_{str(found['loc'][0]).upper()}: {found['msg']}" for found in error.errors())
        raise typer.BadParameter(fields) from None


def main() -> None:
    """Entry point: failures are told in one line, with what to do next, and end with 1."""
    try:
        app()
    except Failure as failure:
        print(f"{failure.reason}: {failure.message}", file=sys.stderr)
        sys.exit(1)
