"""``towpath local``: the local stack on the command line."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import exports, extras
from deploy.local.errors import StackError
from deploy.local.progress import Progress, Quiet
from deploy.local.settings import Settings
from deploy.local.stack import ServiceStatus, Stack

app = typer.Typer(
    name="local",
    help="The local stack: Kubernetes, Argo Workflows, Temporal, a registry and a Git server, without Docker.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MEBIBYTE = 1024 * 1024
_EXIT_FAILED = 1
WITH = "TOWPATH_WITH"


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Cluster(StrEnum):
    """Where the pods run."""

    LOCAL = "local"
    EXISTING = "existing"


@contextmanager
def _told() -> Iterator[None]:
    """Errors as a message and exit code 1, without a traceback."""
    try:
        yield
    except StackError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error


@contextmanager
def _as_root(stack: Stack, before: Callable[[], None] | None = None) -> Iterator[None]:
    """Do something as root, by way of sudo where needed, and hand what is a person's over to them.

    What needs no root (``before``) is done as oneself, so that caches stay one's own.
    """
    if os.geteuid() == 0:
        try:
            yield
        finally:
            stack.hand_over()
        return
    # Made here, or the folders above them would be root's too.
    for folder in (stack.settings.cache, stack.settings.state):
        folder.mkdir(parents=True, exist_ok=True)
    if before is not None:
        before()
    kept = {
        # A person's path has the compilers but, on Debian, not root's own tools.
        "PATH": f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": str(Path.home()),
        "TOWPATH_CACHE": str(stack.settings.cache),
        "TOWPATH_STATE": str(stack.settings.state),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **{name: os.environ[name] for name in ("KUBECONFIG", WITH) if name in os.environ},
    }
    variables = [f"{name}={value}" for name, value in kept.items()]
    arguments = sys.argv[sys.argv.index("local") + 1 :] if "local" in sys.argv else sys.argv[1:]
    argv = ["sudo", "env", *variables, sys.executable, "-m", "deploy.local", *arguments]
    os.execvp("sudo", argv)  # noqa: S606 - an argument list without a shell is what is wanted


@app.command()
def up(
    cluster: Annotated[
        Cluster, typer.Option(help="Make a cluster here, or use the one that KUBECONFIG names.")
    ] = Cluster.LOCAL,
    wanted: Annotated[
        str,
        typer.Option(
            "--with",
            envvar=WITH,
            help=f"Extras, separated by commas: {', '.join(extra.name for extra in extras.EXTRAS)}, or all.",
        ),
    ] = "",
) -> None:
    """Build what is missing and bring everything up. Safe to run twice. Extras that are up stay up.

    Examples:

        towpath local up

        towpath local up --with prometheus

        KUBECONFIG=~/.kube/config towpath local up --cluster existing
    """
    with _told():
        settings = Settings.from_environment()
        on = extras.chosen(wanted, running=settings.extras)
        stack = Stack(replace(settings, cluster=cluster.value, extras=on), Progress())
        with _as_root(stack, before=stack.compile):
            stack.up()
        typer.echo(f"Temporal Web UI: {stack.settings.temporal_ui_url}")
        typer.echo('Set your shell up with: eval "$(towpath local env)"')


@app.command()
def down() -> None:
    """Stop everything that up started, and nothing else. History and images stay.

    Examples:

        towpath local down
    """
    with _told():
        stack = Stack(Settings.from_environment(), Progress())
        with _as_root(stack):
            stack.down()


@app.command()
def build() -> None:
    """Build what is missing without starting anything.

    Examples:

        towpath local build
    """
    with _told():
        stack = Stack(Settings.from_environment(), Progress())
        with _as_root(stack, before=stack.compile):
            stack.build()


@app.command()
def status(
    output: Annotated[Output, typer.Option("--output", "-o", help="table or json.")] = Output.TABLE,
) -> None:
    """Show every service: state, pid, memory. Exit code 1 unless all run.

    Examples:

        towpath local status

        towpath local status -o json
    """
    with _told():
        stack = Stack(Settings.from_environment(), Quiet())
        with _as_root(stack):
            services = stack.status()
    if output is Output.JSON:
        typer.echo(json.dumps([_plain(each) for each in services], indent=2))
    else:
        _print_table(services)
    if any(each.state != "running" for each in services):
        raise typer.Exit(_EXIT_FAILED)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service as status names it, or build-<part>.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines from the end.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
) -> None:
    """Show the log of a service or of a build.

    Examples:

        towpath local logs kubelet

        towpath local logs temporal -f
    """
    with _told():
        folder = Settings.from_environment().logs
        log = folder / f"{service}.log"
        if not log.is_file() or log.parent != folder:
            known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none yet"
            raise StackError("NoSuchLog", f"{service}; there are: {known}")
        subprocess.run(["tail", f"--lines={lines}", *(["--follow"] if follow else []), str(log)], check=False)


@app.command()
def restart(service: Annotated[str, typer.Argument(help="A service as status names it.")]) -> None:
    """Stop and start one service, and wait until it is ready.

    Examples:

        towpath local restart temporal
    """
    with _told():
        stack = Stack(Settings.from_environment(), Progress())
        with _as_root(stack):
            stack.restart(service)


@app.command()
def env() -> None:
    """Print shell exports for everything that runs locally.

    Examples:

        eval "$(towpath local env)"
    """
    with _told():
        for name, value in exports.exports(Settings.from_environment()).items():
            quoted = shlex.quote(value)
            # PATH grows at its front, whatever it is where this is evaluated.
            typer.echo(f'export {name}={quoted}:"$PATH"' if name == "PATH" else f"export {name}={quoted}")


def _plain(status: ServiceStatus) -> dict[str, object]:
    return {
        "name": status.name,
        "state": status.state,
        "pid": status.pid,
        "memoryBytes": status.memory_bytes,
        "lacking": status.lacking,
        "log": str(status.log),
    }


def _print_table(services: list[ServiceStatus]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("SERVICE", "STATE", "PID", "MEMORY", "LACKING"):
        table.add_column(column, justify="right" if column in {"PID", "MEMORY"} else "left")
    for each in services:
        memory = f"{each.memory_bytes // _MEBIBYTE} MiB" if each.pid else ""
        table.add_row(each.name, each.state, str(each.pid or ""), memory, each.lacking)
    total = sum(each.memory_bytes for each in services)
    table.add_row("total", "", "", f"{total // _MEBIBYTE} MiB", "")
    Console().print(table)
