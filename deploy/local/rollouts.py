"""Argo Rollouts, an extra: the controller as a host process, confined to namespaces that Towpath made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from deploy.local import cluster
from deploy.local.catalogue import ARGO_ROLLOUTS, GATEWAY_API
from deploy.local.configuration import write_yaml
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

NAME = "rollouts"
ACCOUNT = "towpath-argo-rollouts"
NAMESPACE = "towpath-data-plane"

_LOOK = ["get", "list", "watch"]
_USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"


def write_manifests(settings: Settings) -> Path:
    """Upstream's definitions, those of the routes whose weights a canary sets, and an account that may do
    what rollouts take and no more.

    Upstream's own role reads every Secret and writes ingresses, jobs and meshes: none of that is needed
    where the engine does the analysis.

    Returns:
        the folder, for ``kubectl apply --kustomize``.
    """
    folder = settings.state / NAME / "manifests"
    shutil.rmtree(folder / "crds", ignore_errors=True)
    shutil.copytree(ARGO_ROLLOUTS.folder(settings) / "crds", folder / "crds")
    shutil.copyfile(GATEWAY_API.folder(settings) / "httproutes.yaml", folder / "httproutes.yaml")
    write_yaml(folder / "account.yaml", *account())
    write_yaml(
        folder / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["crds", "httproutes.yaml", "account.yaml"],
        },
    )
    return folder


def account() -> list[dict[str, Any]]:
    """The controller's account, what it may do, and the policy that keeps its writes where they belong."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "automountServiceAccountToken": False,
        },
        *_granted("ClusterRole", _rules(), {"name": ACCOUNT}),
        # Its settings, and the Secret of notifications, which it waits to have looked for.
        *_granted(
            "Role",
            [
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": _LOOK},
                {
                    "apiGroups": [""],
                    "resources": ["secrets"],
                    "resourceNames": ["argo-rollouts-notification-secret"],
                    "verbs": _LOOK,
                },
            ],
            {"name": ACCOUNT, "namespace": NAMESPACE},
        ),
        *_confinement(),
    ]


def services(settings: Settings) -> list[Service]:
    """The controller; its manifests must be in the cluster before it starts."""
    kubeconfig = settings.kubeconfigs / "argo-rollouts.conf"
    return [
        Service(
            name="argo-rollouts-controller",
            argv=(
                str(ARGO_ROLLOUTS.folder(settings) / "rollouts-controller"),
                f"--kubeconfig={kubeconfig}",
                "--leader-elect=false",
                f"--metricsPort={settings.rollouts_metrics_port}",
                f"--healthzPort={settings.rollouts_health_port}",
                "--qps=100",
                "--burst=150",
                "--logformat=json",
            ),
            env={"POD_NAMESPACE": NAMESPACE},
            ready=http_ok(f"http://127.0.0.1:{settings.rollouts_health_port}/healthz"),
            prepare=lambda: _write_kubeconfig(settings),
            after=("kube-apiserver", "kube-controller-manager"),
            follows=("kube-apiserver",),
            stop_timeout=3.0,
            config=(kubeconfig,),
        )
    ]


def _write_kubeconfig(settings: Settings) -> None:
    path = settings.kubeconfigs / "argo-rollouts.conf"
    cluster.service_account_kubeconfig(settings, account=ACCOUNT, namespace=NAMESPACE, file=path.name)
    # A namespace in the context would be the only one it looks at, were it also told `--namespaced`.


def _rules() -> list[dict[str, Any]]:
    argo = ["argoproj.io"]
    return [
        {
            "apiGroups": argo,
            "resources": ["rollouts", "rollouts/status", "rollouts/finalizers"],
            "verbs": [*_LOOK, "update", "patch"],
        },
        # Looked at before it works at all; the engine makes none of them.
        {
            "apiGroups": argo,
            "resources": ["analysisruns", "analysistemplates", "clusteranalysistemplates", "experiments"],
            "verbs": _LOOK,
        },
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": _LOOK},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": _LOOK},
        {
            "apiGroups": ["apps"],
            "resources": ["replicasets"],
            "verbs": [*_LOOK, "create", "update", "patch", "delete"],
        },
        {"apiGroups": [""], "resources": ["services"], "verbs": [*_LOOK, "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": [*_LOOK, "update"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "update", "patch"]},
    ]


def _granted(kind: str, rules: list[dict[str, Any]], metadata: dict[str, str]) -> list[dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": kind, "name": metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    ]


def _confinement() -> list[dict[str, Any]]:
    managed = "app.kubernetes.io/managed-by"
    return [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": ACCOUNT},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["", "apps", "argoproj.io"],
                            "apiVersions": ["*"],
                            "operations": ["CREATE", "UPDATE", "DELETE"],
                            "resources": ["pods", "services", "replicasets", "rollouts", "rollouts/status"],
                        }
                    ]
                },
                "matchConditions": [
                    {"name": "controller", "expression": f"request.userInfo.username == '{_USER}'"}
                ],
                "validations": [
                    {
                        "expression": (
                            "namespaceObject != null && has(namespaceObject.metadata.labels) && "
                            f"'{managed}' in namespaceObject.metadata.labels && "
                            f"namespaceObject.metadata.labels['{managed}'] == 'towpath'"
                        ),
                        "message": "Argo Rollouts writes only in namespaces that Towpath made.",
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": ACCOUNT},
            "spec": {"policyName": ACCOUNT, "validationActions": ["Deny"]},
        },
    ]
