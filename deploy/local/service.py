"""A service: a process of the stack that runs until ``down``."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Check = Callable[[], str | None]
"""Answers None when ready, else a few words on what is still missing. Must return within seconds."""


@dataclass(frozen=True)
class Service:
    """A process of the stack that runs until ``down``.

    Args:
        name: unique; its log is ``<state>/logs/<name>.log``.
        argv: program (absolute path) and arguments.
        ready: readiness check, called about five times a second.
        env: the variables it gets besides ``PATH`` and ``HOME``; nothing else is inherited.
        cwd: folder to run in; default: the state folder.
        after: names of services that must be ready before.
        follows: names of services whose new process this one does not survive in good order: it
            is restarted when they were.
        timeout: seconds until a service that is not ready counts as failed.
        config: files whose content decides how it runs; a change restarts it.
        prepare: called right before a start, not when it is left running.
        then: called each time that it was found ready, before what comes after it starts:
            what has to be in it (images, objects, namespaces). Must be safe to repeat.
        stop_signal: what ``down`` sends first.
        stop_timeout: seconds before SIGKILL follows.
    """

    name: str
    argv: tuple[str, ...]
    ready: Check
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    after: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    timeout: float = 60.0
    config: tuple[Path, ...] = ()
    prepare: Callable[[], None] | None = None
    then: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0

    def fingerprint(self) -> str:
        """Changes when the command line, the environment or a configuration file does."""
        digest = hashlib.sha256(json.dumps([self.argv, sorted(self.env.items()), str(self.cwd)]).encode())
        for path in self.config:
            digest.update(path.read_bytes() if path.exists() else b"absent")
        return digest.hexdigest()
