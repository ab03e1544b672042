"""What the stack asks of a cluster, its own or one that was there: manifests, accounts, kubeconfigs."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deploy.local.catalogue import KUBERNETES
from deploy.local.configuration import write_text
from deploy.local.errors import StackError
from deploy.local.readiness import command_ok
from deploy.local.service import Check
from deploy.local.settings import Settings

MANIFESTS = Path(__file__).parents[1] / "manifests"
"""Everything under it is applied: ``crds/`` first, then the rest."""

_NAMESPACES = MANIFESTS / "namespaces.yaml"

WORKER_ACCOUNTS: Mapping[str, tuple[str, str]] = {
    "control": ("towpath-control-plane", "towpath-control"),
    "server": ("towpath-control-plane", "towpath-server"),
    "build": ("towpath-build-plane", "towpath-build-worker"),
    "data": ("towpath-data-plane", "towpath-data-worker"),
}
"""Kubeconfig name (``<state>/kubeconfigs/<name>.conf``): namespace and ServiceAccount."""

_FIELD_MANAGER = "towpath-local"
_TOKEN_SECONDS = 20.0
_SERVED_SECONDS = 30.0


def kubectl(settings: Settings, *arguments: str, stdin: str | None = None) -> str:
    """Run ``kubectl`` as the administrator and return its stdout.

    Raises:
        StackError: it exits non-zero; the message has its own words.
    """
    done = subprocess.run(
        [
            str(KUBERNETES.folder(settings) / "kubectl"),
            f"--kubeconfig={settings.kubeconfig}",
            *arguments,
        ],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **kubectl_environment(settings)},
    )
    if done.returncode != 0:
        raise StackError(
            "ClusterRefused", f"kubectl {' '.join(arguments[:4])}: {done.stderr.strip()}; see kube-apiserver.log"
        )
    return done.stdout


def kubectl_environment(settings: Settings) -> dict[str, str]:
    """Keeps a kubectl that root runs for somebody out of that person's home."""
    return {
        "KUBECONFIG": str(settings.kubeconfig),
        "KUBECACHEDIR": str(settings.state / "kubectl"),
        "KUBERC": "off",
    }


def kubectl_ok(settings: Settings, *arguments: str, output: str = "") -> Check:
    """Ready when ``kubectl`` succeeds and its stdout contains ``output``."""
    argv = [str(KUBERNETES.folder(settings) / "kubectl"), *arguments]
    return command_ok(argv, env=kubectl_environment(settings), output=output)


def apply(settings: Settings, *selection: str, stdin: str | None = None) -> str:
    """Server-side apply with one field manager, which owns what it applies.

    Args:
        settings: of the running stack.
        selection: ``--filename``, ``--kustomize`` and the like.
        stdin: manifests, for ``--filename=-``.

    Raises:
        StackError: the API server refused them.
    """
    return kubectl(
        settings,
        *("apply", "--server-side", "--force-conflicts", f"--field-manager={_FIELD_MANAGER}"),
        *selection,
        stdin=stdin,
    )


def apply_namespaces(settings: Settings) -> None:
    """Make the planes' namespaces. Raises ``StackError`` when the API server refuses."""
    apply(settings, f"--filename={_NAMESPACES}")


def apply_manifests(settings: Settings) -> None:
    """Apply everything under ``deploy/manifests``: definitions first, then what may use them.

    Raises:
        StackError: the API server refused something.
    """
    definitions = MANIFESTS / "crds"
    if any(definitions.glob("*.yaml")):
        apply(settings, f"--filename={definitions}")
        # Objects of a kind are refused until its definition is served.
        _wait_until_served(settings, definitions)
    others = [path for path in sorted(MANIFESTS.rglob("*.yaml")) if definitions not in path.parents]
    apply(settings, *(f"--filename={path}" for path in others))


def _wait_until_served(settings: Settings, definitions: Path) -> None:
    deadline = time.monotonic() + _SERVED_SECONDS
    while True:
        # One call for all; `kubectl wait` would watch them one after the other.
        listed = json.loads(kubectl(settings, "get", "-o", "json", f"--filename={definitions}"))
        unserved = [
            each["metadata"]["name"]
            for each in listed.get("items", [listed])
            if not any(
                condition["type"] == "Established" and condition["status"] == "True"
                for condition in each.get("status", {}).get("conditions", [])
            )
        ]
        if not unserved:
            return
        if time.monotonic() > deadline:
            raise StackError("NotServed", f"{', '.join(unserved)}: see kubectl describe crd {unserved[0]} for why")
        time.sleep(0.2)


def apply_once(settings: Settings, name: str, folder: Path) -> None:
    """Apply a kustomization unless this very content is in this very cluster already.

    Args:
        settings: of the running stack.
        name: of the stamp that remembers it.
        folder: with a ``kustomization.yaml``.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    cluster = kubectl(settings, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
    stamp = f"{digest.hexdigest()} {cluster}"
    path = settings.state / "applied" / name
    if path.exists() and path.read_text() == stamp:
        return
    apply(settings, f"--kustomize={folder}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(stamp)


def adopt(settings: Settings) -> Settings:
    """Take over the cluster that ``KUBECONFIG`` names: its present context, as a file of our own.

    Returns:
        settings with the address under which the cluster's pods reach this machine, which is
        taken to be the one that this machine speaks to the API server from.

    Raises:
        StackError: there is none, or it does not answer.
    """
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    done = subprocess.run(
        [
            str(KUBERNETES.folder(settings) / "kubectl"),
            *("config", "view", "--raw", "--minify", "--flatten", "-o", "yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **kubectl_environment(settings), "KUBECONFIG": named},
    )
    if done.returncode != 0:
        raise StackError(
            "NoCluster", f"{named}: {done.stderr.strip()}; set KUBECONFIG to a file with a current context"
        )
    write_text(settings.kubeconfig, done.stdout, mode=0o600)
    kubectl(settings, "get", "--raw", "/readyz", "--request-timeout=10s")
    server = urlsplit(yaml.safe_load(done.stdout)["clusters"][0]["cluster"]["server"])
    with socket.create_connection((server.hostname, server.port or 443), timeout=10.0) as connection:
        return replace(settings, bridge_address=connection.getsockname()[0])


def write_worker_kubeconfigs(settings: Settings) -> None:
    """Write a kubeconfig for each of our processes. Raises ``StackError``."""
    for name, (namespace, account) in WORKER_ACCOUNTS.items():
        service_account_kubeconfig(settings, account=account, namespace=namespace, file=f"{name}.conf")


def service_account_kubeconfig(settings: Settings, *, account: str, namespace: str, file: str) -> Path:
    """A kubeconfig that is a ServiceAccount, with a long-lived token of its own.

    Args:
        settings: of the running stack.
        account: name of the ServiceAccount; it must exist.
        namespace: where it lives; also the kubeconfig's default namespace.
        file: name of the file under ``<state>/kubeconfigs``; written with mode 0600.

    Returns:
        the file's path.

    Raises:
        StackError: the account is absent or gets no token.
    """
    token = service_account_token(settings, account=account, namespace=namespace)
    admin = json.loads(kubectl(settings, "config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    cluster = admin["clusters"][0]["cluster"]
    text = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "towpath", "cluster": cluster}],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [
                {
                    "name": account,
                    "context": {"cluster": "towpath", "user": account, "namespace": namespace},
                }
            ],
            "current-context": account,
        }
    )
    return write_text(settings.kubeconfigs / file, text, mode=0o600)


def service_account_token(settings: Settings, *, account: str, namespace: str) -> str:
    """The long-lived token of a ServiceAccount, from Secret ``<account>.service-account-token``.

    Raises:
        StackError: the account is absent or gets no token.
    """
    secret = f"{account}.service-account-token"
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": secret,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": account},
        },
    }
    deadline = time.monotonic() + _TOKEN_SECONDS
    applied = False
    while True:
        try:
            encoded = kubectl(settings, "-n", namespace, "get", "secret", secret, "-o", "jsonpath={.data.token}")
        except StackError:
            encoded = ""
        if encoded:
            return base64.b64decode(encoded).decode()
        if not applied:
            apply(settings, "--filename=-", stdin=json.dumps(manifest))
            applied = True
        if time.monotonic() > deadline:
            raise StackError(
                "NoToken",
                f"ServiceAccount {namespace}/{account} got no token in {_TOKEN_SECONDS:.0f} s; "
                "is it there, and does kube-controller-manager run?",
            )
        time.sleep(0.2)
