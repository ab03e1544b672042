"""Flux, an extra: its source and kustomize controllers as host processes, for GitOps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from deploy.local import cluster
from deploy.local.catalogue import FLUX_KUSTOMIZE, FLUX_SOURCE
from deploy.local.configuration import write_yaml
from deploy.local.part import Part
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAMESPACE = "flux-system"
SOURCE = "source-controller"
KUSTOMIZE = "kustomize-controller"
# What a Kustomization names no account for is applied as this one of its own namespace, which has the rights
# that somebody gave it there: the controller itself may write nothing.
DEFAULT_ACCOUNT = "flux-applier"
_CONTROLLERS: tuple[tuple[str, Part], ...] = ((SOURCE, FLUX_SOURCE), (KUSTOMIZE, FLUX_KUSTOMIZE))


def write_manifests(settings: Settings) -> Path:
    """Upstream's own definitions and roles, and accounts that have these roles and no more.

    Returns:
        the folder, for ``kubectl apply --kustomize``.
    """
    folder = settings.state / "flux" / "manifests"
    resources = []
    for name, part in _CONTROLLERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(part.folder(settings) / "crds", folder / name)
        resources += [f"{name}/{path.name}" for path in sorted((folder / name).iterdir())]
    accounts: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    ]
    for name, part in _CONTROLLERS:
        role = yaml.safe_load((part.folder(settings) / "role.yaml").read_text())
        if name == KUSTOMIZE:
            role["rules"].append({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]})
        role["metadata"]["name"] = f"flux-{name}"
        accounts += [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "automountServiceAccountToken": False,
            },
            role,
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"flux-{name}"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": f"flux-{name}",
                },
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
            },
        ]
    write_yaml(folder / "accounts.yaml", *accounts)
    write_yaml(
        folder / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [*resources, "accounts.yaml"],
        },
    )
    return folder


def services(settings: Settings) -> list[Service]:
    """Both controllers; artifacts go from one to the other over the loopback."""
    artifacts = settings.state / "flux" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    storage = f"127.0.0.1:{settings.flux_port}"
    return [
        _service(
            settings,
            SOURCE,
            FLUX_SOURCE,
            settings.flux_port + 1,
            f"--storage-path={artifacts}",
            f"--storage-addr={storage}",
            f"--storage-adv-addr={storage}",
        ),
        _service(
            settings,
            KUSTOMIZE,
            FLUX_KUSTOMIZE,
            settings.flux_port + 3,
            "--no-remote-bases=true",
            "--requeue-dependency=2s",
            f"--default-service-account={DEFAULT_ACCOUNT}",
        ),
    ]


def _service(settings: Settings, name: str, part: Part, port: int, *more: str) -> Service:
    kubeconfig = settings.kubeconfigs / f"flux-{name}.conf"
    return Service(
        name=f"flux-{name}",
        argv=(
            str(part.folder(settings) / name),
            f"--metrics-addr=127.0.0.1:{port}",
            f"--health-addr=127.0.0.1:{port + 1}",
            "--log-level=info",
            *more,
        ),
        env={
            "KUBECONFIG": str(kubeconfig),
            "RUNTIME_NAMESPACE": NAMESPACE,
            "TMPDIR": str(settings.state / "flux"),
        },
        ready=http_ok(f"http://127.0.0.1:{port + 1}/readyz"),
        prepare=lambda: _write_kubeconfig(settings, name),
        after=("kube-apiserver", "kube-controller-manager"),
        config=(kubeconfig,),
    )


def _write_kubeconfig(settings: Settings, name: str) -> None:
    cluster.service_account_kubeconfig(settings, account=name, namespace=NAMESPACE, file=f"flux-{name}.conf")
