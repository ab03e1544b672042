"""Previews: preview list, status, open, extend, close, logs."""

import sys
from typing import Annotated

import typer

from model.change_request import check_change
from model.duration import seconds
from model.failure import UserFailure
from triggers.commandline.application import Exit, Group
from triggers.commandline.building import tell
from triggers.commandline.client import Api, api_of
from triggers.commandline.output import (
    Format,
    Name,
    Output,
    Reason,
    age,
    columns,
    keep_showing,
    moment,
    printable,
    render,
    show,
)
from triggers.views import PreviewView


def _change(text: str) -> str:
    try:
        return check_change(text)
    except UserFailure as failure:
        raise typer.BadParameter(failure.message) from None


def _lasting(text: str) -> float:
    try:
        return seconds(text, "--for")
    except UserFailure as failure:
        raise typer.BadParameter(failure.message) from None


Change = Annotated[
    str, typer.Argument(parser=_change, metavar="CHANGE", help="A pull request's number, or a name of yours.")
]
Watch = Annotated[bool, typer.Option("-w", "--watch", help="Keep showing it.")]

previews = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Previews of change requests, each in a namespace of its own, with an end.",
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command, name in (
        (list_previews, "list"), (status, "status"), (open_preview, "open"), (extend, "extend"), (close, "close"),
        (logs, "logs"), (allow, "allow"), (retry, "retry"), (stop, "stop"),
    ):  # fmt: skip
        previews.command(name)(command)
    app.add_typer(previews, name="preview")


def list_previews(context: typer.Context, name: Name, watch: Watch = False, output: Output = Format.TABLE) -> None:
    """List a component's previews.

    Examples: towpath preview list hello-world; towpath preview list hello-world -o json
    """
    api = api_of(context)

    def make() -> str:
        found = api.previews(name)
        return render(found, output, lambda wide: _table(found, wide, api.clock()))

    if watch:
        keep_showing(make, api.pause)
    show(make())


def status(
    context: typer.Context, name: Name, change: Change, watch: Watch = False, output: Output = Format.TABLE
) -> None:
    """Show one preview. Exit code 0: ready, 1: failed, 3: it waits or is under way.

    Examples: towpath preview status hello-world 12; towpath preview status hello-world 12 --watch
    """
    api = api_of(context)

    def make() -> str:
        found = api.preview(name, change)
        return render(found, output, lambda _: _picture(found))

    if watch:
        keep_showing(make, api.pause)
    found = api.preview(name, change)
    show(render(found, output, lambda _: _picture(found)))
    codes = {"ready": Exit.DONE, "closed": Exit.DONE, "failed": Exit.FAILED}
    raise typer.Exit(codes.get(found.phase, Exit.WAITING))


def open_preview(
    context: typer.Context,
    name: Name,
    change: Change,
    branch: Annotated[str, typer.Option("--branch", help="Whose present head is shown.")],
    output: Output = Format.TABLE,
) -> None:
    """Show a branch without a change request, or show one again.

    Examples: towpath preview open hello-world my-idea --branch feature/idea
    """
    tell(api_of(context).steer(name, f"previews/{change}/open", {"branch": branch}), output)


def extend(
    context: typer.Context,
    name: Name,
    change: Change,
    lasts: Annotated[float, typer.Option("--for", parser=_lasting, metavar="DURATION", help="From now; 8h, 3d.")],
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Let a preview last longer (or less long) than since its last push.

    Examples: towpath preview extend hello-world 12 --for 3d
    """
    body = {"seconds": lasts, "reason": reason}
    tell(api_of(context).steer(name, f"previews/{change}/extend", body), output)


def close(
    context: typer.Context, name: Name, change: Change, reason: Reason = "", output: Output = Format.TABLE
) -> None:
    """End a preview now; the next push does not bring it back.

    Examples: towpath preview close hello-world 12 --reason "seen enough"
    """
    tell(api_of(context).steer(name, f"previews/{change}/close", {"reason": reason}), output)


def allow(
    context: typer.Context,
    name: Name,
    change: Change,
    commit: Annotated[str, typer.Option("--commit", help="The whole id of the commit that you have looked at.")],
    output: Output = Format.TABLE,
) -> None:
    """Let exactly one commit of somebody who is not trusted be built and shown, without secrets.

    Examples: towpath preview allow hello-world 12 --commit 5bd3a4a5c3c9ff0f0a2a3f2b0f8dcf0f6c8d6a01
    """
    tell(api_of(context).steer(name, f"previews/{change}/allow", {"commit": commit}), output)


def retry(
    context: typer.Context, name: Name, change: Change, reason: Reason = "", output: Output = Format.TABLE
) -> None:
    """Build and show a preview's present commit again.

    Examples: towpath preview retry hello-world 12
    """
    tell(api_of(context).steer(name, f"previews/{change}/retry", {"reason": reason}), output)


def stop(
    context: typer.Context, name: Name, change: Change, reason: Reason = "", output: Output = Format.TABLE
) -> None:
    """Stop what is being built or deployed for a preview; what runs stays.

    Examples: towpath preview stop hello-world 12
    """
    tell(api_of(context).steer(name, f"previews/{change}/stop", {"reason": reason}), output)


def logs(context: typer.Context, name: Name, change: Change) -> None:
    """Print the log of a preview's last build.

    Examples: towpath preview logs hello-world 12
    """
    api: Api = api_of(context)
    for piece in api.preview_log(name, change):
        sys.stdout.write("".join(ch if ch.isprintable() or ch in "\n\t" else " " for ch in piece))


def _table(found: list[PreviewView], wide: bool, now: float) -> str:
    header = ["CHANGE", "PHASE", "COMMIT", "BRANCH", "AGE", "ENDS IN", "ADDRESS"]
    header += ["NAMESPACE", "WHY", "TITLE"] if wide else []
    rows = []
    for each in found:
        left = age(now, each.expires_at) if each.expires_at else ""
        row = [each.change, each.phase, each.commit[:7], each.branch, age(each.opened_at, now), left, each.address]
        rows.append([*row, *([each.namespace, f"{each.reason} {each.message}", each.title] if wide else [])])
    return columns(header, rows)


def _picture(preview: PreviewView) -> str:
    lines = [
        f"{preview.component} preview {preview.change}: {preview.phase} ({preview.reason})",
        f"  {printable(preview.message)}",
        f"  commit     {preview.commit[:12]} {printable(preview.subject)}",
        f"  branch     {printable(preview.branch)}",
    ]
    if preview.namespace:
        lines.append(f"  namespace  {preview.namespace}")
    if preview.address:
        lines.append(f"  address    {preview.address}")
    if preview.expires_at:
        lines.append(f"  until      {moment(preview.expires_at)}")
    return "\n".join([*lines, f"  {preview.url or preview.workflow}"])
