"""Builds parts into the cache, side by side where that helps."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from deploy.local.errors import BuildFailed
from deploy.local.estimate import seconds_left
from deploy.local.exclusion import exclusive
from deploy.local.part import Part, Workbench
from deploy.local.progress import Progress, clock
from deploy.local.settings import Settings

_REPORT_SECONDS = 30.0
_CORES_PER_COMPILER = 4
_UNUSED_SECONDS = 14 * 24 * 3600


def build(parts: Sequence[Part], settings: Settings, progress: Progress) -> None:
    """Make every part that the cache lacks.

    A part is made in a folder of its own that is renamed when all its outputs
    exist, so an interrupted build is never taken for a finished one. Two
    processes that want the same part make it once: the second waits.

    Raises:
        BuildFailed: a part could not be made; the message ends with its log.
    """
    missing = [part for part in parts if not part.is_built(settings)]
    if not missing:
        return
    total = sum(part.expected_seconds for part in missing)
    progress.say(
        "build",
        f"{len(missing)} of {len(parts)} parts to make, about {clock(total)} on two cores: "
        + ", ".join(part.name for part in missing),
    )
    settings.logs.mkdir(parents=True, exist_ok=True)
    # The Go compiler fills the cores by itself: two at once only compete for memory.
    compilers = threading.Semaphore(max(1, (os.cpu_count() or 1) // _CORES_PER_COMPILER))
    waiting = list(missing)
    began: dict[str, float] = {}
    running: dict[Future[None], Part] = {}
    finished: list[tuple[float, float]] = []

    def make(part: Part) -> None:
        if part.heavy:
            with compilers:
                began[part.name] = time.monotonic()
                _make(part, settings, progress)
        else:
            began[part.name] = time.monotonic()
            _make(part, settings, progress)

    with ThreadPoolExecutor(max_workers=len(missing)) as pool:
        while waiting or running:
            for part in list(waiting):
                unmade = {other.name for other in (*waiting, *running.values())}
                if not unmade & {needed.name for needed in part.needs}:
                    waiting.remove(part)
                    running[pool.submit(make, part)] = part
            done, _ = wait(running, timeout=_REPORT_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                part = running.pop(future)
                finished.append((part.expected_seconds, time.monotonic() - began.get(part.name, time.monotonic())))
                if (error := future.exception()) is not None:
                    # What has begun ends by itself; nothing new is begun.
                    for other in running:
                        other.cancel()
                    raise error
            if not done:
                now = time.monotonic()
                left = seconds_left(
                    finished,
                    [
                        (each.expected_seconds, now - began[each.name])
                        for each in running.values()
                        if each.name in began
                    ],
                    [each.expected_seconds for each in (*waiting, *running.values()) if each.name not in began],
                )
                names = ", ".join(part.name for part in running.values() if part.name in began)
                progress.say("build", f"making {names}; about {clock(left)} left")


def forget_unused(parts: Sequence[Part], settings: Settings) -> None:
    """Note that ``parts`` are used, and delete what nobody has used for two weeks."""
    wanted = {part.key() for part in parts}
    oldest = time.time() - _UNUSED_SECONDS
    for folder in (settings.cache / "parts").iterdir():
        if folder.name in wanted:
            os.utime(folder)
        elif folder.stat().st_mtime < oldest:
            shutil.rmtree(folder)


def _make(part: Part, settings: Settings, progress: Progress) -> None:
    folder = part.folder(settings)
    log = settings.logs / f"build-{part.name}.log"
    with exclusive(settings.cache / "locks" / part.key()):
        if part.is_built(settings):
            return
        began = time.monotonic()
        progress.say(part.name, f"making {part.version} (about {clock(part.expected_seconds)})")
        staging = folder.with_name(f".{folder.name}")
        # Left by an interrupted build: the lock says that nobody is at it.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        needs = {needed.name: needed.folder(settings) for needed in part.needs}
        log.unlink(missing_ok=True)
        try:
            part.recipe.make(Workbench(settings=settings, output=staging, log=log, needs=needs))
        except BuildFailed as error:
            raise BuildFailed(error.reason, f"{part.name} {part.version}: {error.message}") from error
        absent = [output for output in part.outputs if not (staging / output).exists()]
        if absent:
            raise BuildFailed("OutputMissing", f"{part.name} did not make {', '.join(absent)}; see {log}")
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
        progress.say(part.name, f"made in {clock(time.monotonic() - began)}")
