"""Builds without a Dockerfile: the application as a layer on a runtime's base image.

Nothing is pulled and no container runs: the base's layers stay where they are in the registry, which
links them to the new repository. So it needs no privilege at all, and a second or two.
"""

from __future__ import annotations

import re
from pathlib import Path

from deploy.builder import registry
from deploy.builder.checkout import without_history
from deploy.builder.command import CommandFailed, run, say
from deploy.builder.dependencies import PYTHON_PACKAGES, install_npm, install_pip
from deploy.builder.layer import write_layer
from deploy.builder.plan import Plan
from deploy.builder.refusal import BuildInterrupted
from deploy.builder.start import start_command

APPLICATION = "/app"
USER = "10001:10001"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})\s*$")


def build(plan: Plan, root: Path, folder: Path, scratch: Path) -> str:
    """Install dependencies, add the layers, push, and return the digest.

    Args:
        plan: what to build.
        root: the clone.
        folder: the application in it.
        scratch: an existing folder for archives.

    Raises:
        BuildRefused: the source does not say how it starts, or its dependencies cannot be installed.
        BuildInterrupted: the registry cannot be reached.
    """
    command = start_command(folder, plan.runtime)
    say(f"Starts with: {' '.join(command)}")
    without_history(root)
    layers: list[Path] = []
    variables = {"PATH": _PATH}
    if plan.runtime == "nodejs":
        install_npm(folder, plan.environment)
        variables = {"NODE_ENV": "production", "PATH": f"{APPLICATION}/node_modules/.bin:{_PATH}"}
    elif plan.runtime == "python":
        packages = scratch / "packages"
        variables = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PATH": _PATH}
        if install_pip(folder, packages, plan.environment):
            variables |= {"PYTHONPATH": PYTHON_PACKAGES, "PATH": f"{PYTHON_PACKAGES}/bin:{_PATH}"}
            layers.append(scratch / "packages.tar.gz")
            write_layer(layers[-1], packages, PYTHON_PACKAGES)
    layers.append(scratch / "application.tar.gz")
    write_layer(layers[-1], folder, APPLICATION)
    return _push(plan, layers, command, variables)


def _push(plan: Plan, layers: list[Path], command: tuple[str, ...], variables: dict[str, str]) -> str:
    say(f"Pushing {plan.image}")
    append = ["crane", "append", "--base", plan.base, "--new_tag", plan.image]
    for layer in layers:
        append += ["--new_layer", str(layer)]
    labels = {
        "org.opencontainers.image.source": plan.url,
        "org.opencontainers.image.revision": plan.commit,
    }
    mutate = ["crane", "mutate", plan.image, "--tag", plan.image, "--user", USER, "--workdir", APPLICATION]
    for name, value in variables.items():
        mutate += ["--env", f"{name}={value}"]
    for name, value in labels.items():
        mutate += ["--label", f"{name}={value}"]
    # The list is given as comma-separated values, quoted where a word holds a comma.
    # As the entrypoint, it replaces the base's own, and a component's `args` are added to it.
    mutate += ["--entrypoint", ",".join(_quoted(word) for word in command)]
    if any(plan.image.startswith(f"{host}/") for host in plan.insecure):
        append.append("--insecure")
        mutate.append("--insecure")
    try:
        run(append)
        told = run(mutate)
    except CommandFailed as failed:
        raise registry.refusal(plan.image, failed) from None
    found = _DIGEST.search(told)
    if found is None:
        raise BuildInterrupted("DigestMissing", f"The push of {plan.image} did not say its digest.")
    return found.group(1)


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"' if any(ch in word for ch in ',"\n') else word
