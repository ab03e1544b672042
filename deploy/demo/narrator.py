"""The voice of the demo: every step with its time since the start and its duration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Narrator:
    """Prints the timeline, in colour on a terminal and plain in a log."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._chapter = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._chapter += 1
        self._console.print(f"\n[bold]{self._chapter}. {title}[/bold]")

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """Time a step; lines that are put into the list are told under it."""
        began = time.monotonic()
        lines: list[str] = []
        yield lines
        took = time.monotonic() - began
        self._console.print(f"[dim]{self.elapsed:6.1f} s[/dim]  {what}  [cyan]{took:.1f} s[/cyan]")
        for line in lines:
            self._console.print(f"            {line}", markup=False)

    def say(self, line: str) -> None:
        """One more line under the last step."""
        self._console.print(f"            {line}", markup=False)
