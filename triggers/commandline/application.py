"""The typer application, and how its errors end: a line or two on stderr and an exit code, no traceback."""

import sys
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup


class Exit(IntEnum):
    """Exit codes that scripts may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    WAITING = 3


class Trouble(Exception):
    """What went wrong, in one line, and what to do next in another. `passing`: it may be gone in a moment."""

    def __init__(self, title: str, detail: str = "", code: Exit = Exit.FAILED, passing: bool = False) -> None:
        super().__init__(title)
        self.passing = passing
        self.title = title
        self.detail = detail
        self.code = code

    def __repr__(self) -> str:
        return f"Trouble({self.title!r}, {self.detail!r}, {self.code!r})"


class Group(TyperGroup):
    """Commands whose troubles are told, not traced."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Trouble as trouble:
            print(f"towpath: {trouble.title}", file=sys.stderr)
            if trouble.detail:
                print(f"  {trouble.detail}", file=sys.stderr)
            raise typer.Exit(trouble.code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


app = typer.Typer(
    name="towpath",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Carry commits from a push to production. NAME is a component: NAME or NAMESPACE/NAME.",
)
