"""How answers are shown: a table for people, JSON or YAML for scripts."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel
from rich.live import Live
from rich.text import Text

from model.key import ComponentKey
from triggers.commandline.application import Trouble


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("-o", "--output", help="json and yaml are complete and stable.")]


def read_key(text: str) -> ComponentKey:
    """A component's name as it is typed."""
    try:
        return ComponentKey.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Name = Annotated[ComponentKey, typer.Argument(parser=read_key, metavar="NAME", help="NAME or NAMESPACE/NAME")]
Environment = Annotated[str, typer.Option("-e", "--environment", metavar="ENV", help="Which environment.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")]


def plain(found: Any) -> Any:
    """Models as what JSON and YAML know."""
    if isinstance(found, BaseModel):
        return found.model_dump(mode="json")
    return [plain(each) for each in found] if isinstance(found, list | tuple) else found


def render(found: Any, output: Format, table: Callable[[bool], str]) -> str:
    """The text of an answer; `table(wide)` makes the one for people."""
    if output is Format.JSON:
        return json.dumps(plain(found), indent=2)
    if output is Format.YAML:
        return str(yaml.safe_dump(plain(found), sort_keys=False)).rstrip("\n")
    return table(output is Format.WIDE)


def show(text: str) -> None:
    """Print an answer."""
    print(text)


def columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, as kubectl prints them; what is empty shows as a dash."""
    lines = [list(header), *([printable(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def printable(text: str, limit: int = 300) -> str:
    """One line without what a terminal would obey: commit subjects and messages come from anybody."""
    return "".join(ch if ch.isprintable() else " " for ch in text[:limit]).strip()


def age(then: float, now: float) -> str:
    """How long ago, as kubectl says it; empty for never."""
    if not then:
        return ""
    seconds = max(0, int(now - then))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(then: float) -> str:
    """A point in time in the reader's own zone; empty for never."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(then)) if then else ""


def keep_showing(make: Callable[[], str], pause: Callable[[float], None], seconds: float = 1.0) -> None:
    """Show a picture for ever: redrawn in place on a terminal, else printed anew when it has changed.

    A server that is away for a moment is said, and asked again.
    """

    def picture() -> str:
        try:
            return make()
        except Trouble as trouble:
            if not trouble.passing:
                raise
            return f"towpath: {trouble.title}"

    if sys.stdout.isatty():
        with Live(Text(picture()), auto_refresh=False) as live:
            while True:
                pause(seconds)
                live.update(Text(picture()), refresh=True)
    shown = ""
    while True:
        text = picture()
        if text != shown:
            print(text, flush=True)
            shown = text
        pause(seconds)
