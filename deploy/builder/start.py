"""How a runtime starts, by the conventions that buildpacks share."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from deploy.builder.refusal import BuildRefused

FILE_LIMIT = 1024 * 1024
# What a shell would act on; without any of it the words are the command line.
_SHELL = re.compile(r"[$`\"'\\|&;<>(){}*?\[\]~#\n!=]")
_WEB = re.compile(r"^web\s*:\s*(.+?)\s*$", re.MULTILINE)
_NODE_FILES = ("server.js", "app.js", "main.js", "index.js")
_PYTHON_FILES = ("main.py", "app.py")

PROCFILE = "Procfile"


def start_command(folder: Path, runtime: str) -> tuple[str, ...]:
    """The command line that starts the application in `folder`.

    A `web` process in a Procfile wins (Heroku, "The Procfile"). nodejs: the `start` script of
    package.json, its `main`, or server.js, app.js, main.js, index.js (Paketo's npm-start and node-start,
    in their order). python: main.py or app.py.

    Raises:
        BuildRefused: `NoStartCommand`, `UnknownRuntime`, `BadProcfile`, `BadPackageJson`.
    """
    if procfile := _procfile(folder):
        return procfile
    if runtime == "nodejs":
        return _nodejs(folder)
    if runtime == "python":
        for name in _PYTHON_FILES:
            if (folder / name).is_file():
                return ("python3", name)
        raise BuildRefused(
            "NoStartCommand",
            "Nothing says how this application starts; add a Procfile with a line such as "
            "'web: python main.py', or a main.py or app.py.",
        )
    raise BuildRefused("UnknownRuntime", f"Runtime {runtime!r} is not known: nodejs, python, or a Dockerfile.")


def package(folder: Path) -> dict[str, Any]:
    """What package.json says; empty when there is none.

    Raises:
        BuildRefused: `BadPackageJson`.
    """
    text = read_text(folder / "package.json")
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BuildRefused("BadPackageJson", f"package.json is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BuildRefused("BadPackageJson", "package.json must hold a JSON object.")
    return found


def read_text(path: Path) -> str | None:
    """A small text file, None when there is none.

    Raises:
        BuildRefused: `FileUnreadable`, it is too large or not UTF-8.
    """
    if not path.is_file():
        return None
    if path.stat().st_size > FILE_LIMIT:
        raise BuildRefused("FileUnreadable", f"{path.name} has more than {FILE_LIMIT // 1024} KiB.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BuildRefused("FileUnreadable", f"{path.name} is not UTF-8 text.") from None


def _procfile(folder: Path) -> tuple[str, ...]:
    text = read_text(folder / PROCFILE)
    if text is None:
        return ()
    found = _WEB.search(text.replace("\r\n", "\n"))
    if found is None:
        raise BuildRefused("BadProcfile", "The Procfile has no 'web:' line; add one that starts the application.")
    return _words(found.group(1))


def _nodejs(folder: Path) -> tuple[str, ...]:
    declared = package(folder)
    scripts = declared.get("scripts")
    script = scripts.get("start") if isinstance(scripts, dict) else None
    if isinstance(script, str) and script.strip():
        return _words(script.strip())
    main = declared.get("main")
    if isinstance(main, str) and main:
        for name in (main, f"{main}.js", f"{main}/index.js"):
            if (folder / name).is_file():
                return ("node", name)
    for name in _NODE_FILES:
        if (folder / name).is_file():
            return ("node", name)
    raise BuildRefused(
        "NoStartCommand",
        "Nothing says how this application starts; add a 'start' script to package.json "
        '(for instance "start": "node server.js"), a server.js or index.js, or a Procfile with a \'web:\' line.',
    )


def _words(line: str) -> tuple[str, ...]:
    """Plain words run as they are, so that signals reach the process; anything else needs a shell."""
    if _SHELL.search(line):
        return ("/bin/sh", "-c", line)
    return tuple(shlex.split(line))
