"""Argo Workflows: the controller as a host process, confined to the build plane's namespace."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from deploy.local import cluster, versions
from deploy.local.catalogue import ARGO, EXECUTOR_IMAGE
from deploy.local.configuration import write_yaml
from deploy.local.errors import ServiceFailed
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAMESPACE = "towpath-build-plane"
EXECUTOR_ACCOUNT = "towpath-build"
CONTROLLER_ACCOUNT = "argo"


def executor_image(settings: Settings) -> str:
    """What runs beside each build: put into containerd here, into the registry for other clusters."""
    home = "towpath.local" if settings.makes_cluster else f"{settings.registry}/towpath"
    return f"{home}/argoexec:v{versions.ARGO_WORKFLOWS}"


def push_executor(settings: Settings) -> None:
    """Put the executor's image into the registry.

    Raises:
        ServiceFailed: the registry does not take it.
    """
    archive = EXECUTOR_IMAGE.folder(settings) / "image.tar"
    done = subprocess.run(
        [
            *("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"),
            *(f"docker-archive:{archive}", f"docker://{executor_image(settings)}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceFailed("PushFailed", f"argoexec: {done.stderr.strip()}; read registry.log")


def write_manifests(settings: Settings) -> Path:
    """A kustomization of upstream's own definitions and roles for our namespace.

    Returns:
        its folder, for ``kubectl apply --kustomize``.
    """
    folder = settings.state / "argo" / "manifests"
    for name in ("crds", "rbac"):
        # Copied: a kustomization reaches nothing outside its own folder.
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(ARGO.folder(settings) / name, folder / name)
    write_yaml(
        folder / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            "resources": ["crds", "rbac", "controller.yaml"],
        },
    )
    write_yaml(
        folder / "controller.yaml",
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": CONTROLLER_ACCOUNT},
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "workflow-controller-configmap"},
            "data": _controller_configuration(settings),
        },
    )
    return folder


def service(settings: Settings) -> Service:
    """The workflow controller; the manifests must be applied before."""
    kubeconfig = settings.kubeconfigs / "argo.conf"
    return Service(
        name="argo-workflow-controller",
        argv=(
            str(ARGO.folder(settings) / "workflow-controller"),
            f"--kubeconfig={kubeconfig}",
            f"--namespace={NAMESPACE}",
            "--namespaced",
            f"--managed-namespace={NAMESPACE}",
            f"--executor-image={executor_image(settings)}",
            "--executor-image-pull-policy=IfNotPresent",
            "--qps=200",
            "--burst=300",
            "--log-format=json",
        ),
        env={
            # Without it 4.0 sleeps a second after each reconcile that it stored.
            "INFORMER_WRITE_BACK": "true",
            # Of a burst of changes to one workflow the last is looked at after this, not after 10 s.
            "DEFAULT_REQUEUE_TIME": "250ms",
            "LEADER_ELECTION_DISABLE": "true",
            "LEADER_ELECTION_IDENTITY": settings.node_name,
            "ARGO_NAMESPACE": NAMESPACE,
        },
        ready=http_ok(f"http://127.0.0.1:{settings.argo_metrics_port}/metrics"),
        prepare=lambda: _write_kubeconfig(settings),
        after=("kube-apiserver", "kube-controller-manager"),
        # A watch that a starting API server refuses ends for good, and 4.0.7 then spins on its
        # closed channel: all of a core, and a hundred thousand log lines a second.
        follows=("kube-apiserver",),
        # It waits for its informers to end; nothing is lost when it does not.
        stop_timeout=3.0,
        config=(kubeconfig, settings.state / "argo" / "manifests" / "controller.yaml"),
    )


def _write_kubeconfig(settings: Settings) -> None:
    cluster.service_account_kubeconfig(settings, account=CONTROLLER_ACCOUNT, namespace=NAMESPACE, file="argo.conf")


def _controller_configuration(settings: Settings) -> dict[str, str]:
    small = {"cpu": "10m", "memory": "32Mi"}
    return {
        "parallelism": "4",
        "executor": yaml.safe_dump(
            {
                "resources": {"requests": small, "limits": {"cpu": "500m", "memory": "256Mi"}},
            }
        ),
        "metricsConfig": yaml.safe_dump(
            {"enabled": True, "path": "/metrics", "port": settings.argo_metrics_port, "secure": False}
        ),
        # Nothing of ours reads nodes of finished workflows after this.
        "workflowDefaults": yaml.safe_dump(
            {
                "spec": {
                    "serviceAccountName": EXECUTOR_ACCOUNT,
                    "automountServiceAccountToken": False,
                    "executor": {"serviceAccountName": EXECUTOR_ACCOUNT},
                }
            }
        ),
    }
