"""What an application needs besides itself, installed by its ecosystem's own tool."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.builder.command import CommandFailed, run, say
from deploy.builder.refusal import BuildInterrupted, BuildRefused
from deploy.builder.start import package

PYTHON_PACKAGES = "/opt/python-packages"
_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
_OTHER_LOCKS = {"yarn.lock": "Yarn", "pnpm-lock.yaml": "pnpm", "bun.lockb": "Bun"}
_NPM_ERROR = re.compile(r"npm (ERR!|error)(?! A complete log| +/|$)(?! code)", re.IGNORECASE)
_NPM_NETWORK = re.compile(
    r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT|E5\d\d|UNABLE_TO_GET_ISSUER_CERT"
)
_PIP_ERROR = re.compile(r"^ERROR:")
_PIP_NETWORK = re.compile(
    r"Temporary failure in name resolution|Connection refused|ReadTimeoutError|ConnectTimeoutError|"
    r"NewConnectionError|5\d\d Server Error|CERTIFICATE_VERIFY_FAILED"
)


def install_npm(folder: Path, environment: Mapping[str, str]) -> None:
    """`npm ci --omit=dev` beside the application; nothing when it declares no dependencies.

    Raises:
        BuildRefused: `NpmFailed`, `PackageManagerUnsupported`.
        BuildInterrupted: `PackagesUnreachable`.
    """
    declared = package(folder)
    if not (declared.get("dependencies") or declared.get("optionalDependencies")):
        return
    if (folder / "node_modules").is_dir():
        raise BuildRefused(
            "NodeModulesCommitted", "node_modules is in the repository; remove it there, it is installed here."
        )
    action = "ci"
    if not any((folder / lock).is_file() for lock in _LOCKS):
        for lock, name in _OTHER_LOCKS.items():
            if (folder / lock).is_file():
                raise BuildRefused(
                    "PackageManagerUnsupported",
                    f"{lock} is {name}'s; commit npm's package-lock.json instead, or build with a Dockerfile.",
                )
        action = "install"
        say("No package-lock.json: versions are npm's choice today; commit one to keep them")
    say(f"npm {action} --omit=dev")
    argv = ["npm", action, "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
    env = {"NODE_ENV": "production", **environment, "CI": "true", "NO_COLOR": "1"}
    try:
        run(argv, cwd=folder, env=env)
    except CommandFailed as failed:
        told = f"npm {action} failed: {failed.told(_NPM_ERROR)}"
        if failed.says(_NPM_NETWORK):
            raise BuildInterrupted("PackagesUnreachable", told) from None
        raise BuildRefused("NpmFailed", told) from None


def install_pip(folder: Path, target: Path, environment: Mapping[str, str]) -> bool:
    """Install requirements.txt into `target`; False when there is none.

    Raises:
        BuildRefused: `PipFailed`.
        BuildInterrupted: `PackagesUnreachable`.
    """
    requirements = folder / "requirements.txt"
    if not requirements.is_file():
        return False
    say("pip install -r requirements.txt")
    argv = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    argv += ["--no-compile", "--root-user-action=ignore", "--target", str(target), "-r", "requirements.txt"]
    try:
        run(argv, cwd=folder, env={**environment, "NO_COLOR": "1"})
    except CommandFailed as failed:
        told = f"pip install failed: {failed.told(_PIP_ERROR)}"
        if failed.says(_PIP_NETWORK):
            raise BuildInterrupted("PackagesUnreachable", told) from None
        raise BuildRefused("PipFailed", told) from None
    return target.is_dir()
