"""Running tools: their output goes to the build's log as it comes, its end is kept for the message."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

_KEPT_LINES = 60
_LINE_LIMIT = 8192
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class CommandFailed(Exception):
    """A tool ended with an error.

    Args:
        code: its exit code.
        tail: the last lines it wrote.
    """

    def __init__(self, code: int, tail: Sequence[str]) -> None:
        super().__init__(f"exit code {code}")
        self.code = code
        self.tail = tuple(tail)

    def told(self, pattern: re.Pattern[str]) -> str:
        """The last line that matches, or the last line that says anything; empty when none does."""
        for line in reversed(self.tail):
            if pattern.search(line):
                return line.strip()
        return next((line.strip() for line in reversed(self.tail) if line.strip()), "")

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether one of the last lines matches."""
        return any(pattern.search(line) for line in self.tail)


def run(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return the last lines of what it wrote.

    Args:
        argv: program and arguments, never a shell line.
        cwd: folder to run in.
        env: variables to add to (or, when empty, blank out of) this process's.

    Raises:
        CommandFailed: it exits non-zero.
    """
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        while line := process.stdout.readline(_LINE_LIMIT):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            kept.append(_COLOURS.sub("", line.decode(errors="replace")).rstrip())
        code = process.wait()
    if code != 0:
        raise CommandFailed(code, kept)
    return "\n".join(kept)


def say(text: str) -> None:
    """A line of our own in the build's log."""
    print(f"==> {text}", flush=True)
