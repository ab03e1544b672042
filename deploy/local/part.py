"""A part: something that is built once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.local.errors import BuildFailed
from deploy.local.settings import Settings

_LOG_TAIL_LINES = 25


@dataclass(frozen=True)
class Workbench:
    """What a recipe gets to work with.

    Args:
        settings: paths and addresses of the stack.
        output: an empty folder to fill; it becomes the part's folder when the recipe returns.
        log: receives everything that commands print.
        needs: the finished folders of the parts that this one needs, by name.
    """

    settings: Settings
    output: Path
    log: Path
    needs: Mapping[str, Path]

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command to its end, in the part's log, and return what it wrote to stdout.

        Args:
            argv: program and arguments; never a shell line.
            cwd: folder to run in.
            env: variables to add to this process's environment.

        Raises:
            BuildFailed: the command is missing or exits non-zero.
        """
        words = [os.fspath(word) for word in argv]
        with self.log.open("ab") as log:
            log.write(("$ " + " ".join(words) + "\n").encode())
            log.flush()
            try:
                done = subprocess.run(
                    words,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    check=False,
                )
            except FileNotFoundError as error:
                raise BuildFailed(
                    "CommandMissing", f"{words[0]} was not found; install it and run again"
                ) from error
            log.write(done.stdout)
        if done.returncode != 0:
            raise BuildFailed(
                "CommandFailed",
                f"{words[0]} exited with {done.returncode}; the end of {self.log}:\n" + log_tail(self.log),
            )
        return done.stdout.decode(errors="replace")


class Recipe(Protocol):
    """How a part is made."""

    def fingerprint(self) -> str:
        """Everything that decides the result, as text: it is hashed into the cache key."""
        ...

    def make(self, bench: Workbench) -> None:
        """Fill ``bench.output``. Raises ``BuildFailed``."""
        ...


@dataclass(frozen=True)
class Part:
    """Something that is built once and kept in the cache.

    Args:
        name: unique; also the name of its build log.
        version: what people see.
        recipe: how it is made.
        outputs: files, relative to its folder, that must exist afterwards.
        expected_seconds: time for a cold build on two cores, for the estimate.
        needs: parts that must be finished before; their keys are part of this one's.
        heavy: keeps the cores busy by itself; only one such part is built at a time.
    """

    name: str
    version: str
    recipe: Recipe
    outputs: tuple[str, ...]
    expected_seconds: int = 10
    needs: tuple[Part, ...] = ()
    heavy: bool = field(default=False)

    def key(self) -> str:
        """Name of the part's folder in the cache: it changes when version or recipe do."""
        digest = hashlib.sha256(
            "\0".join(
                (
                    *(self.name, self.version, *self.outputs, self.recipe.fingerprint()),
                    *(part.key() for part in self.needs),
                )
            ).encode()
        ).hexdigest()
        return f"{self.name}-{self.version}-{digest[:12]}"

    def folder(self, settings: Settings) -> Path:
        """Where the finished part lies, whether or not it has been built yet."""
        return settings.cache / "parts" / self.key()

    def is_built(self, settings: Settings) -> bool:
        """Whether the cache has it. Folders appear by rename only, so existing means finished."""
        folder = self.folder(settings)
        return all((folder / output).exists() for output in self.outputs)


def log_tail(log: Path, lines: int = _LOG_TAIL_LINES) -> str:
    """The last lines of a log, indented for an error message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join("    " + line for line in text.splitlines()[-lines:])
