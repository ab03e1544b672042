"""Signing: what a command would tell a workflow, for whoever sends it some other way."""

import json
import shlex
from typing import Annotated, Any

import httpx
import typer
from pydantic import ValidationError

from model.statement import Signed
from triggers.commandline.application import Exit, Group, Trouble
from triggers.commandline.client import Api, api_of
from triggers.commandline.output import Format, Output, render, show
from triggers.statements import PATH


class _Instead(Exception):
    """The statement, from deep inside the command that was to be signed."""

    def __init__(self, signed: Signed) -> None:
        super().__init__(signed.workflow)
        self.signed = signed


class SigningApi(Api):
    """Reads as ever; what would change something comes back signed."""

    @classmethod
    def over(cls, api: Api) -> "SigningApi":
        """The same server, as the same person."""
        return cls(api._http, api.pause, api.clock)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        if method == "GET":
            return super()._send(method, path, **options)
        if method != "POST":
            raise _nothing()
        response = super()._send(method, f"{PATH}{path}", **options)
        try:
            raise _Instead(Signed.model_validate_json(response.content))
        except ValidationError:
            raise _nothing() from None


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(context_settings={"ignore_unknown_options": True})(sign)


def sign(
    context: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="A command that steers, in full.")],
    output: Output = Format.TABLE,
) -> None:
    """Have the server sign what a command would tell a workflow, instead of telling it.

    Shows the `temporal` command that does the same; `-o json` is the update's input alone. It holds for five
    minutes, for this workflow, and for what it says.

    Examples: towpath sign approve hello-world -e production --reason "looked at staging";
    towpath sign rollback hello-world -e production -o json
    """
    api = SigningApi.over(api_of(context))
    root = context.find_root().command
    assert isinstance(root, Group)  # noqa: S101  (the application's)
    try:
        code = root.main(args=command, prog_name="towpath", obj=api, standalone_mode=False)
    except _Instead as instead:
        signed = instead.signed
        show(render(signed.input, output, lambda _: _command(signed)))
        return
    if not code:
        raise Trouble("There was nothing to sign: this command only looks.", code=Exit.USAGE)
    raise typer.Exit(code)


def _nothing() -> Trouble:
    return Trouble("There was nothing to sign.", "See `towpath sign --help` for what can be.")


def _command(signed: Signed) -> str:
    return shlex.join(
        [
            *("temporal", "workflow", "update", "execute"),
            *("--workflow-id", signed.workflow),
            *("--name", signed.update),
            *("--update-id", signed.id),
            *("--input", json.dumps(signed.input, separators=(",", ":"))),
        ]
    )
