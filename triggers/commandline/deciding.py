"""Deciding about what ran: undo, accept, pin, unpin, mark, diff."""

from enum import StrEnum
from typing import Annotated

import typer

from model.difference import Difference, Side
from triggers.commandline.building import tell
from triggers.commandline.client import api_of
from triggers.commandline.moving import Timeout, Wait, give_order
from triggers.commandline.output import Environment, Format, Name, Output, Reason, columns, render, show

Which = Annotated[str, typer.Option("--release", help="Which of those that wait; all without.")]


class Word(StrEnum):
    """What a release is worth."""

    BAD = "bad"
    GOOD = "good"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (undo, accept, pin, unpin, mark, diff):
        app.command()(command)


def undo(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 900,
    output: Output = Format.TABLE,
) -> None:
    """Take back the last change that a person or automation made; automation leaves it so until `towpath resume`.

    Examples: towpath undo hello-world -e production --wait --reason "wrong button"
    """
    body = {"reason": reason}
    give_order(api_of(context), name, environment, "undo", body, wait, timeout, output, revision_kind="rollback")


def accept(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Take as healthy what runs and nobody could tell of; its promotion goes on.

    Examples: towpath accept hello-world -e production --reason "Prometheus was down, the pages are fine"
    """
    tell(api_of(context).steer(name, f"lanes/{environment}/accept", {"reason": reason}), output)


def pin(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Which = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Keep a release that waits: newer ones come after it, not instead of it.

    Examples: towpath pin hello-world -e production --release 3f2a9c1
    """
    body = {"release": release, "reason": reason}
    tell(api_of(context).steer(name, f"lanes/{environment}/pin", body), output)


def unpin(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Which = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Let newer releases take its place again.

    Examples: towpath unpin hello-world -e production
    """
    body = {"release": release, "reason": reason}
    tell(api_of(context).steer(name, f"lanes/{environment}/unpin", body), output)


def mark(
    context: typer.Context,
    name: Name,
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A release's name, digest or commit.")],
    word: Annotated[Word, typer.Argument(metavar="bad|good", help="What it is worth.")],
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Say that a release is bad: nobody promotes or deploys it any more, and ways back pass it over.

    Examples: towpath mark hello-world 3f2a9c1 bad --reason "loses invoices"; towpath mark web 3f2a9c1 good
    """
    body = {"word": word.value, "reason": reason}
    tell(api_of(context).steer(name, f"releases/{release}/mark", body), output)


def diff(
    context: typer.Context,
    name: Name,
    environment: Environment,
    revision: Annotated[int, typer.Option("--revision", min=0, help="From here; the last good one without.")] = 0,
    to: Annotated[int, typer.Option("--to", min=0, help="To here; what runs without.")] = 0,
    other: Annotated[str, typer.Option("--with", metavar="ENV", help="To what runs in this environment.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """What differs between two revisions, or two environments: image, settings, manifests.

    Secrets are told by reference only.

    Examples: towpath diff hello-world -e production; towpath diff hello-world -e production --with staging
    """
    found = api_of(context).difference(name, environment, revision, to, other)
    show(render(found, output, lambda _: _table(found)))


def _table(found: Difference) -> str:
    if found.same:
        return f"{_side(found.before)} and {_side(found.after)} are the same."
    rows = [["image", found.before.image, found.after.image]] if found.before.image != found.after.image else []
    rows += [[setting.name, setting.before, setting.after] for setting in found.settings]
    parts = [columns(["WHAT", _side(found.before), _side(found.after)], rows)] if rows else []
    # What a terminal would obey stays out of it: values come from anybody.
    parts += ["".join(ch for ch in found.manifests if ch.isprintable() or ch in "\n\t").rstrip()]
    return "\n\n".join(part for part in [*parts, found.note] if part)


def _side(side: Side) -> str:
    return f"{side.environment}/{side.revision}" if side.revision else f"{side.environment}/nothing"
