"""What must be on the machine before: told with a clear message when it is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

from deploy.local.errors import PrerequisiteMissing

GO_MINIMUM = (1, 26, 8)
JAVA_MINIMUM = (17,)
PYTHON_MINIMUM = (3, 11)


def check_prerequisites() -> None:
    """Look for Debian's tools, Go, Java and the right to become root.

    Raises:
        PrerequisiteMissing: names everything that is missing at once, and how to get it.
    """
    lacking = [
        complaint
        for complaint in (
            _python(),
            _tool("go", ["go", "version"], GO_MINIMUM, "install it from your distribution or go.dev"),
            _tool("java", ["java", "-version"], JAVA_MINIMUM, "apt-get install openjdk-17-jre-headless"),
            None if shutil.which("apt-get") else "apt-get: the local stack is made for Debian 12",
            None if os.geteuid() == 0 or shutil.which("sudo") else "root: run as root, or install sudo",
        )
        if complaint is not None
    ]
    if lacking:
        raise PrerequisiteMissing(
            "PrerequisiteMissing", "this machine lacks:\n" + "\n".join(f"  - {line}" for line in lacking)
        )


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in a tool's answer; empty when there is none."""
    found = re.search(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    return tuple(int(number) for number in found.groups() if number) if found else ()


def _python() -> str | None:
    if sys.version_info[:2] >= PYTHON_MINIMUM:
        return None
    return f"python >= {_dotted(PYTHON_MINIMUM)}: this is {_dotted(sys.version_info[:3])}"


def _tool(name: str, argv: Sequence[str], minimum: tuple[int, ...], remedy: str) -> str | None:
    wanted = f"{name} >= {_dotted(minimum)}"
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{wanted}: not found; {remedy}"
    # Java speaks to stderr.
    version = parse_version(done.stdout or done.stderr)
    if version < minimum:
        return f"{wanted}: found {_dotted(version) or 'none'}; {remedy}"
    return None


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))
