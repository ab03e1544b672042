"""Processes by identity: a pid together with when it started, so that a reused pid is never taken for ours."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.05
_STATE, _START_TIME = 0, 19  # fields of proc(5)'s stat, counted behind the command's name


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, for good.

    Args:
        pid: process id.
        started: its start in clock ticks since boot (``starttime`` in proc(5)).
        boot: the boot that it belongs to.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a running process; None when there is none or it is a zombie."""
        fields = _stat(pid)
        if fields is None or fields[_STATE] == "Z":
            return None
        return cls(pid=pid, started=int(fields[_START_TIME]), boot=_boot())

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process is gone."""
        if not self.is_alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for its end; False when it still runs."""
        deadline = time.monotonic() + timeout
        while self.is_alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def resident_bytes(pid: int) -> int:
    """Resident memory of a process in bytes, shared pages included; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The name is in brackets and may hold brackets and blanks itself.
    return text.rpartition(")")[2].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
