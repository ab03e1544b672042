"""Starts, watches and stops the services of the stack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from deploy.local.errors import ServiceFailed
from deploy.local.part import log_tail
from deploy.local.process import ProcessIdentity
from deploy.local.progress import Progress, clock
from deploy.local.service import Service
from deploy.local.settings import Settings

_POLL_SECONDS = 0.2
_WORTH_TELLING_SECONDS = 2.0
_KILL_SECONDS = 10.0
_LOG_BYTES = 64 * 1024 * 1024
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Record:
    """What is remembered of a started service, in ``<state>/run/<name>.json``.

    Args:
        identity: its process.
        fingerprint: of the service at its start, and of the processes that it follows.
        argv: how it was started, for people.
        stop_signal: what ends it in good order.
        stop_timeout: seconds to give it for that.
        order: counts up with each start, so that ``down`` can go backwards.
    """

    identity: ProcessIdentity
    fingerprint: str
    argv: tuple[str, ...]
    stop_signal: int
    stop_timeout: float
    order: int


class Supervisor:
    """Runs services as daemons that outlive this process, and knows them again by pid files.

    Args:
        settings: where pid files and logs lie.
        progress: told of every start and stop.
    """

    # Our own children become zombies until somebody waits for them, whichever supervisor that is.
    _children: ClassVar[dict[int, subprocess.Popen[bytes]]] = {}

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress

    def start_all(self, services: Sequence[Service]) -> None:
        """Start what does not run yet or has changed, each after those that it comes after.

        Raises:
            ServiceFailed: one did not become ready; the message ends with its log.
        """
        waiting = {service.name: service for service in services}
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(max_workers=max(1, len(services))) as pool:
            while waiting or running:
                unready = {*waiting, *running.values()}
                startable = [each for each in waiting.values() if not unready & set(each.after)]
                if not startable and not running:
                    raise ServiceFailed(
                        "OrderImpossible",
                        f"{', '.join(waiting)} wait for one another; correct their 'after' fields",
                    )
                for service in startable:
                    del waiting[service.name]
                    running[pool.submit(self.start, service)] = service.name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                for future in done:
                    if (error := future.exception()) is not None:
                        raise error

    def start(self, service: Service) -> None:
        """Start one service and wait until it is ready; leave it alone when it runs unchanged.

        Raises:
            ServiceFailed: it ended, or is not ready in time; the message ends with its log.
        """
        record = self._record(service.name)
        if record is not None and record.identity.is_alive():
            if record.fingerprint == self._fingerprint(service):
                self._await(service, record.identity, fresh=False)
                if service.then is not None:
                    service.then()
                return
            self._progress.say(service.name, "changed: restarting")
            self.stop(service.name)
        began = time.monotonic()
        if service.prepare is not None:
            service.prepare()
        identity = self._spawn(service)
        self._await(service, identity, fresh=True)
        self._progress.say(service.name, f"ready after {time.monotonic() - began:.1f} s")
        if service.then is not None:
            service.then()

    def stop(self, name: str) -> bool:
        """Stop a service that we started; False when it does not run.

        Raises:
            ServiceFailed: it survives SIGKILL.
        """
        record = self._record(name)
        if record is None:
            return False
        began = time.monotonic()
        stopped = record.identity.send(signal.Signals(record.stop_signal))
        if stopped and not self._gone(record.identity, record.stop_timeout):
            record.identity.send(signal.SIGKILL)
            if not self._gone(record.identity, _KILL_SECONDS):
                raise ServiceFailed(
                    "StillRuns",
                    f"{name} (pid {record.identity.pid}) survived SIGKILL; "
                    "look at its state with: ps -o stat,wchan -p " + str(record.identity.pid),
                )
        self._record_path(name).unlink(missing_ok=True)
        if (took := time.monotonic() - began) > _WORTH_TELLING_SECONDS:
            self._progress.say(name, f"stopped after {took:.1f} s")
        return stopped

    def restart(self, service: Service) -> None:
        """Stop the service if it runs, and start it. Raises ``ServiceFailed``."""
        self.stop(service.name)
        self.start(service)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a running service, and wait for its end when that is SIGKILL.

        Raises:
            ServiceFailed: it does not run.
        """
        record = self._record(name)
        if record is None or not record.identity.send(number):
            raise ServiceFailed("NotRunning", f"{name} does not run; start it with: towpath local up")
        if number == signal.SIGKILL:
            self._gone(record.identity, _KILL_SECONDS)

    def pid(self, name: str) -> int | None:
        """The pid of a running service, else None."""
        record = self._record(name)
        if record is None or not self._alive(record.identity):
            return None
        return record.identity.pid

    def started(self) -> list[str]:
        """Names of the services with a pid file, the last started first."""
        records = [(path.stem, self._record(path.stem)) for path in self._settings.run.glob("*.json")]
        known = [(name, record) for name, record in records if record is not None]
        return [name for name, record in sorted(known, key=lambda pair: -pair[1].order)]

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self._settings.logs / f"{name}.log"

    def _fingerprint(self, service: Service) -> str:
        followed = [self._record(name) for name in service.follows]
        identities = [f"{each.identity.pid}@{each.identity.started}" for each in followed if each is not None]
        return " ".join([service.fingerprint(), *identities])

    def _spawn(self, service: Service) -> ProcessIdentity:
        self._settings.run.mkdir(parents=True, exist_ok=True)
        self._settings.logs.mkdir(parents=True, exist_ok=True)
        log = self.log(service.name)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.old"))
        with log.open("ab") as output:
            output.write(f"--- {time.strftime('%Y-%m-%dT%H:%M:%S%z')} started\n".encode())
            output.flush()
            try:
                child = subprocess.Popen(
                    service.argv,
                    cwd=service.cwd or self._settings.state,
                    env=environment(service.env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServiceFailed(
                    "CannotStart",
                    f"{service.name}: {error}; run 'towpath local up' to build or install it",
                ) from error
        self._children[child.pid] = child
        identity = ProcessIdentity.of(child.pid)
        if identity is None:
            raise self._failure(service, f"ended at once with {child.wait()}")
        order = 1 + max((r.order for r in map(self._record, self.started()) if r is not None), default=0)
        record = Record(
            identity=identity,
            fingerprint=self._fingerprint(service),
            argv=service.argv,
            stop_signal=int(service.stop_signal),
            stop_timeout=service.stop_timeout,
            order=order,
        )
        path = self._record_path(service.name)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record)))
        draft.rename(path)
        return identity

    def _await(self, service: Service, identity: ProcessIdentity, *, fresh: bool) -> None:
        deadline = time.monotonic() + service.timeout
        while True:
            if not self._alive(identity):
                child = self._children.get(identity.pid)
                code = f" with {child.returncode}" if child is not None else ""
                raise self._failure(service, f"ended{code} before it was ready")
            lacking = service.ready()
            if lacking is None:
                return
            if time.monotonic() > deadline:
                state = "is not ready" if fresh else "runs but does not answer"
                raise self._failure(service, f"{state} after {clock(service.timeout)}: {lacking}")
            time.sleep(_POLL_SECONDS)

    def _failure(self, service: Service, what: str) -> ServiceFailed:
        log = self.log(service.name)
        return ServiceFailed(
            "NotReady",
            f"{service.name} {what}. Correct the cause and run 'towpath local up' again. "
            f"The end of {log}:\n{log_tail(log)}",
        )

    def _alive(self, identity: ProcessIdentity) -> bool:
        child = self._children.get(identity.pid)
        if child is not None:
            child.poll()
        return identity.is_alive()

    def _gone(self, identity: ProcessIdentity, timeout: float) -> bool:
        gone = identity.wait(timeout)
        if gone and (child := self._children.pop(identity.pid, None)) is not None:
            child.wait()
        return gone

    def _record_path(self, name: str) -> Path:
        return self._settings.run / f"{name}.json"

    def _record(self, name: str) -> Record | None:
        try:
            data = json.loads(self._record_path(name).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return Record(identity=ProcessIdentity(**data.pop("identity")), argv=tuple(data.pop("argv")), **data)


def environment(extra: Mapping[str, str], path: Iterable[Path] = ()) -> dict[str, str]:
    """The variables of a service: a plain ``PATH`` and ``HOME``, then its own.

    What the person who ran ``up`` had exported does not leak in, so that a
    service runs the same whoever starts it.
    """
    return {
        "PATH": ":".join([*map(str, path), _PATH]),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        **extra,
    }
