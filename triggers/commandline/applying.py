"""Applying: manifests go to Kubernetes by kubectl, which everybody has and knows."""

import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from triggers.commandline.application import Trouble


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(apply)


def apply(
    file: Annotated[list[Path], typer.Option("-f", "--filename", help="A manifest or a folder of them.")],
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="For manifests that name none.")] = "",
) -> None:
    """Apply manifests; the same as `kubectl apply -f`.

    Examples: towpath apply -f hello-world.yaml
    """
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise Trouble(
            "kubectl is not on the PATH.", "Install it, or apply the manifests with what you use for your cluster."
        )
    arguments = [kubectl, "apply", *(f"--filename={path}" for path in file)]
    if namespace:
        arguments.append(f"--namespace={namespace}")
    raise typer.Exit(subprocess.run(arguments, check=False).returncode)
