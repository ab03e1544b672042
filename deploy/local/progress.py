"""Plain progress lines with elapsed time, which read well on a terminal and in a CI log."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO


class Progress:
    """Prints one line for each thing that happens, with the time since the start.

    Args:
        stream: where to print; default: stderr, so that stdout stays for results.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, subject: str, event: str) -> None:
        """Print ``event`` for ``subject``, a part's or a service's name."""
        with self._lock:
            print(f"[{clock(self.elapsed())}] {subject:<24} {event}", file=self._stream, flush=True)

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began


class Quiet(Progress):
    """Says nothing: for tests and for commands whose output is read by programs."""

    def say(self, subject: str, event: str) -> None:
        """Do nothing."""


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"
