"""Recipes: the ways in which parts are made from the package registries."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.part import Workbench

PARTS_FOLDER = Path(__file__).parent / "parts"
"""Committed tools modules and Maven projects, one folder each."""

_GO_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath", "GOWORK": "off"}


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class GoModule:
    """Commands built from a committed tools module, verified by its ``go.sum``.

    Args:
        module: folder under ``parts/`` with ``go.mod``, ``go.sum`` and ``tools.go``.
        packages: name of each binary and the import path of its command.
        variables: ``-X`` values for the linker, such as the version that a command reports.
        tags: build tags, separated by commas.
        source: the module that ``copies`` and ``restored`` speak of.
        copies: files and folders of ``source`` to keep beside the binaries
            (manifests, for one): name here and path there.
        restored: files that the module archive lost, because it cannot hold symbolic
            links: path of the lost file and of the one that it pointed to.
        compiler: for the C code in it; empty leaves C out.
    """

    module: str
    packages: tuple[tuple[str, str], ...]
    variables: tuple[tuple[str, str], ...] = ()
    tags: str = ""
    source: str = ""
    copies: tuple[tuple[str, str], ...] = ()
    restored: tuple[tuple[str, str], ...] = ()
    compiler: str = field(default="", repr=False)

    def fingerprint(self) -> str:
        """The tools module's files and everything that is given to the compiler."""
        own = (self.compiler,) if self.compiler else ()
        return "\0".join((repr(self), folder_digest(PARTS_FOLDER / self.module), *own))

    def make(self, bench: Workbench) -> None:
        """Build every command into ``bench.output``. Raises ``BuildFailed``."""
        folder = PARTS_FOLDER / self.module
        mode = "-mod=readonly"
        if self.copies:
            self._copy(folder, bench)
        if self.restored:
            folder = self._vendored(folder, bench)
            mode = "-mod=vendor"
        variables = [f"-X {name}={value}" for name, value in self.variables]
        target = bench.output / ".go"
        target.mkdir()
        # One call compiles what the commands share once and keeps both cores busy.
        bench.run(
            [
                *("go", "build", mode, f"-tags={self.tags}", "-ldflags", " ".join(("-s", "-w", *variables))),
                *("-o", str(target), *(package for _, package in self.packages)),
            ],
            cwd=folder,
            env=_GO_ENVIRONMENT | ({"CGO_ENABLED": "1", "CC": self.compiler} if self.compiler else {}),
        )
        for binary, package in self.packages:
            (target / _command_name(package)).rename(bench.output / binary)
        target.rmdir()
        if self.restored:
            shutil.rmtree(folder)

    def _copy(self, folder: Path, bench: Workbench) -> None:
        bench.run(["go", "mod", "download", self.source], cwd=folder, env=_GO_ENVIRONMENT)
        source = Path(
            bench.run(["go", "list", "-m", "-f", "{{.Dir}}", self.source], cwd=folder, env=_GO_ENVIRONMENT).strip()
        )
        _keep(source, self.copies, bench.output)

    def _vendored(self, folder: Path, bench: Workbench) -> Path:
        """A copy of the tools module with its dependencies beside it, the lost files put back."""
        copy = bench.output / ".vendored"
        shutil.copytree(folder, copy)
        bench.run(["go", "mod", "vendor"], cwd=copy, env=_GO_ENVIRONMENT)
        for lost, original in self.restored:
            vendored = copy / "vendor" / self.source
            shutil.copyfile(vendored / original, vendored / lost)
        return copy


@dataclass(frozen=True)
class GoInstall:
    """One command straight from a module, verified by Go's checksum database.

    Args:
        package: import path of the command.
        version: the module's version, with its ``v``.
        binary: name of the file to make.
    """

    package: str
    version: str
    binary: str

    def fingerprint(self) -> str:
        """The package and its version."""
        return repr(self)

    def make(self, bench: Workbench) -> None:
        """Install the command into ``bench.output``. Raises ``BuildFailed``."""
        target = bench.output / ".go"
        target.mkdir()
        bench.run(
            ["go", "install", "-ldflags", "-s -w", f"{self.package}@{self.version}"],
            cwd=target,
            env={**_GO_ENVIRONMENT, "GOBIN": os.fspath(target)},
        )
        (target / _command_name(self.package)).rename(bench.output / self.binary)
        target.rmdir()


@dataclass(frozen=True)
class GoFiles:
    """Files out of a module, verified by Go's checksum database; nothing is compiled.

    Args:
        module: path of the module.
        version: its version, with its ``v``.
        copies: files and folders to keep: name here and path there.
    """

    module: str
    version: str
    copies: tuple[tuple[str, str], ...]

    def fingerprint(self) -> str:
        """The module, its version and what is kept of it."""
        return repr(self)

    def make(self, bench: Workbench) -> None:
        """Copy the files into ``bench.output``. Raises ``BuildFailed``."""
        argv = ["go", "mod", "download", "-json", f"{self.module}@{self.version}"]
        told = json.loads(bench.run(argv, cwd=bench.output, env=_GO_ENVIRONMENT))
        _keep(Path(told["Dir"]), self.copies, bench.output)


def _keep(source: Path, copies: tuple[tuple[str, str], ...], output: Path) -> None:
    for name, path in copies:
        if (source / path).is_dir():
            # Plain copies: the module cache is read-only, and its modes would come along.
            shutil.copytree(source / path, output / name, copy_function=shutil.copyfile)
            _make_writable(output / name)
        else:
            shutil.copyfile(source / path, output / name)


def _command_name(package: str) -> str:
    """The file name that ``go build`` gives a command: a major version is not a name."""
    words = package.split("/")
    return words[-2] if re.fullmatch(r"v[0-9]+", words[-1]) else words[-1]


def _make_writable(folder: Path) -> None:
    # The module cache is read-only, and copies of its folders would stay so.
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
