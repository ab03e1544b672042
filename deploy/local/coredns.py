"""CoreDNS as the cluster's DNS, in a pod as everywhere, so that network policies name it as everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.local import kubernetes, versions
from deploy.local.configuration import write_yaml
from deploy.local.settings import Settings

_REPOSITORY = "towpath.local"
_TAG = f"v{versions.COREDNS}"
IMAGE = f"{_REPOSITORY}/coredns:{_TAG}"


def write_manifests(settings: Settings) -> Path:
    """kubeadm's own manifests for CoreDNS, made small.

    Returns:
        the folder, for ``kubectl apply --kustomize``.
    """
    folder = settings.state / "coredns"
    manifests = [_small(each) for each in kubernetes.coredns_manifests(settings, _REPOSITORY, _TAG)]
    write_yaml(folder / "coredns.yaml", *manifests)
    write_yaml(
        folder / "kustomization.yaml",
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": ["coredns.yaml"],
        },
    )
    return folder


def _small(manifest: dict[str, Any]) -> dict[str, Any]:
    # Server-side apply wants no version of an object that may not be there yet.
    manifest["metadata"].pop("resourceVersion", None)
    if manifest["kind"] == "Deployment":
        # One node: a second replica would be there for nothing.
        manifest["spec"]["replicas"] = 1
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        container["resources"]["requests"] = {"cpu": "10m", "memory": "32Mi"}
        container["readinessProbe"]["periodSeconds"] = 1
    if manifest["kind"] == "ConfigMap":
        corefile = manifest["data"]["Corefile"]
        # Whoever asks for a Service just before it is made must not hear "no" for half a minute.
        manifest["data"]["Corefile"] = corefile.replace("cache 30 {", "cache 5 {").replace("ttl 30", "ttl 5")
    return manifest
