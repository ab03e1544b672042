"""Prometheus, an extra: scrapes the pods of data namespaces that ask for it by annotation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local import cluster
from deploy.local.catalogue import PROMETHEUS
from deploy.local.configuration import write_yaml
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "prometheus"
ACCOUNT = "towpath-prometheus"
NAMESPACE = "towpath-data-plane"
SCRAPE_SECONDS = 1
RETENTION = "2h"

_LABELS = {
    "namespace": "__meta_kubernetes_namespace",
    "pod": "__meta_kubernetes_pod_name",
    "project": "__meta_kubernetes_pod_label_openchoreo_dev_project",
    "component": "__meta_kubernetes_pod_label_openchoreo_dev_component",
    "environment": "__meta_kubernetes_pod_label_openchoreo_dev_environment",
    "release": "__meta_kubernetes_pod_label_towpath_dev_release",
}
_ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io"


def url(settings: Settings) -> str:
    """Where it answers."""
    return f"http://127.0.0.1:{settings.prometheus_port}"


def exports(settings: Settings) -> Mapping[str, str]:
    """What a shell is told of it."""
    return {"TOWPATH_PROMETHEUS": url(settings)}


def engine(settings: Settings) -> Mapping[str, str]:
    """What Towpath's workers are told of it: the server that a policy need not name."""
    return {"TOWPATH_PROMETHEUS": url(settings)}


def write_manifests(settings: Settings) -> Path:
    """The account under which it finds pods: it may read pods, and nothing else.

    Returns:
        the folder, for ``kubectl apply --kustomize``.
    """
    folder = settings.state / NAME / "manifests"
    write_yaml(
        folder / "account.yaml",
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": ACCOUNT},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    )
    write_yaml(
        folder / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["account.yaml"],
        },
    )
    return folder


def services(settings: Settings) -> list[Service]:
    """The server; its account must be in the cluster before it starts."""
    kubeconfig = settings.kubeconfigs / "prometheus.conf"
    configuration = write_yaml(settings.state / NAME / "prometheus.yaml", _configuration(kubeconfig))
    return [
        Service(
            name=NAME,
            argv=(
                str(PROMETHEUS.folder(settings) / "prometheus"),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={settings.state / NAME / 'data'}",
                f"--storage.tsdb.retention.time={RETENTION}",
                "--storage.tsdb.retention.size=256MB",
                f"--web.listen-address=127.0.0.1:{settings.prometheus_port}",
                "--query.timeout=20s",
                "--log.level=warn",
            ),
            ready=http_ok(f"{url(settings)}/-/ready"),
            prepare=lambda: _write_kubeconfig(settings),
            after=("kube-apiserver", "kube-controller-manager"),
            config=(configuration, kubeconfig),
        )
    ]


def _write_kubeconfig(settings: Settings) -> None:
    cluster.service_account_kubeconfig(settings, account=ACCOUNT, namespace=NAMESPACE, file="prometheus.conf")


def _configuration(kubeconfig: Path) -> dict[str, Any]:
    relabelings: list[dict[str, Any]] = [
        # Only what Towpath deployed: namespaces of data planes are named so.
        {"source_labels": ["__meta_kubernetes_namespace"], "regex": "dp-.+", "action": "keep"},
        {"source_labels": [f"{_ANNOTATION}_scrape"], "regex": "true", "action": "keep"},
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Running", "action": "keep"},
        # A pod with several ports is several targets; with the port named they are all the same one.
        {
            "source_labels": ["__meta_kubernetes_pod_ip", f"{_ANNOTATION}_port"],
            "separator": ":",
            "regex": "(.+):([0-9]+)",
            "target_label": "__address__",
            "replacement": "$1:$2",
        },
        {
            "source_labels": [f"{_ANNOTATION}_path"],
            "regex": "(/.*)",
            "target_label": "__metrics_path__",
        },
        *({"source_labels": [source], "target_label": label} for label, source in _LABELS.items()),
    ]
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {
                "job_name": "pods",
                # What an application says must not pass for what the cluster knows.
                "honor_labels": False,
                "sample_limit": 5000,
                # A file that an application serves as its metrics has no content type worth the name.
                "fallback_scrape_protocol": "PrometheusText1.0.0",
                "kubernetes_sd_configs": [{"role": "pod", "kubeconfig_file": str(kubeconfig)}],
                "relabel_configs": relabelings,
            }
        ],
    }
