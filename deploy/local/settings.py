"""Where the local stack keeps its files, and on which addresses its parts listen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.configuration import write_text

ClusterKind = Literal["local", "existing"]

_REMEMBERED = "cluster.json"


def _folder(own: str, xdg: str, default: str) -> Path:
    if value := os.environ.get(own):
        return Path(value).absolute()
    base = os.environ.get(xdg)
    return (Path(base) if base else Path.home() / default).absolute() / "towpath"


@dataclass(frozen=True)
class Settings:
    """Every path, address and port of the local stack.

    Ports are fixed, so that what ``towpath local env`` printed yesterday is
    true today; they are high and unusual where another program may have the
    well-known one.
    """

    cache: Path
    """Built parts and images. Safe to delete: ``up`` builds them again."""
    state: Path
    """Certificates, etcd, Temporal's database, containerd's root, logs, pid files."""

    cluster: ClusterKind = "local"
    """Whether ``up`` makes a cluster, or uses the one that ``KUBECONFIG`` named."""

    extras: tuple[str, ...] = ()
    """What ``up`` brought up besides the core, until ``down``; see ``extras.py``."""

    node_name: str = "towpath"
    bridge: str = "towpath0"
    bridge_address: str = "10.88.0.1"
    """What host services listen on for pods. With an existing cluster: the address that looks towards it."""
    bridge_prefix: int = 16
    pod_range: str = "10.88.0.0/16"
    pod_range_start: str = "10.88.1.0"
    service_range: str = "10.96.0.0/16"
    dns_address: str = "10.96.0.10"
    cluster_domain: str = "cluster.local"
    temporal_namespace: str = "towpath"

    etcd_port: int = 24790
    etcd_peer_port: int = 24800
    apiserver_port: int = 26443
    controller_manager_port: int = 26257
    scheduler_port: int = 26259
    kubelet_port: int = 26250
    kubelet_health_port: int = 26248
    proxy_health_port: int = 26256
    proxy_metrics_port: int = 26249
    containerd_stream_port: int = 26010
    cilium_health_port: int = 26879
    cilium_operator_port: int = 26234
    argo_metrics_port: int = 26090
    argo_health_port: int = 6060  # fixed in its source
    temporal_port: int = 27233
    temporal_http_port: int = 27243
    temporal_membership_port: int = 27933
    temporal_metrics_port: int = 27800
    temporal_ui_port: int = 28233
    prometheus_port: int = 29090
    rollouts_metrics_port: int = 28095
    rollouts_health_port: int = 28096
    flux_port: int = 27440  # and the four after it
    toxiproxy_port: int = 28474
    gitea_port: int = 28300
    registry_port: int = 5000
    worker_metrics_port: int = 28901  # and the two after it
    server_port: int = 8480
    git_port: int = 8481
    admission_port: int = 8482

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``TOWPATH_CACHE`` and ``TOWPATH_STATE``, with the XDG folders as defaults."""
        state = _folder("TOWPATH_STATE", "XDG_STATE_HOME", ".local/state")
        cache = _folder("TOWPATH_CACHE", "XDG_CACHE_HOME", ".cache")
        try:
            remembered = json.loads((state / _REMEMBERED).read_text())
        except FileNotFoundError:
            return cls(cache=cache, state=state)
        remembered["extras"] = tuple(remembered.get("extras", ()))
        return cls(cache=cache, state=state, **remembered)

    def remember(self) -> None:
        """Keep what ``up`` found out for the commands that come after it."""
        write_text(
            self.state / _REMEMBERED,
            json.dumps({"cluster": self.cluster, "bridge_address": self.bridge_address, "extras": self.extras}),
        )

    @property
    def makes_cluster(self) -> bool:
        """Whether Kubernetes is one of the stack's own parts."""
        return self.cluster == "local"

    @property
    def logs(self) -> Path:
        """The one folder with ``<service>.log`` and ``build-<part>.log``."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Pid records of running services, and sockets."""
        return self.state / "run"

    @property
    def secrets(self) -> Path:
        """Generated tokens, one a file, mode 0600."""
        return self.state / "secrets"

    @property
    def kubeconfigs(self) -> Path:
        """Kubeconfig files: ``admin.conf`` and one for each of our processes."""
        return self.state / "kubeconfigs"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfigs / ("admin.conf" if self.makes_cluster else "existing.conf")

    @property
    def apiserver_url(self) -> str:
        """How host processes and pods reach the API server."""
        return f"https://{self.bridge_address}:{self.apiserver_port}"

    @property
    def registry(self) -> str:
        """``host:port`` of the image registry, the same for host and pods."""
        return f"{self.bridge_address}:{self.registry_port}"

    @property
    def server_url(self) -> str:
        """Towpath's own server: webhooks, API, console."""
        return f"http://{self.bridge_address}:{self.server_port}"

    @property
    def git_url(self) -> str:
        """The local Git server; bare repositories under it are made by pushing."""
        return f"http://{self.bridge_address}:{self.git_port}"

    @property
    def temporal_address(self) -> str:
        """``host:port`` of Temporal's frontend (gRPC)."""
        return f"127.0.0.1:{self.temporal_port}"

    @property
    def temporal_ui_url(self) -> str:
        """Temporal's Web UI."""
        return f"http://127.0.0.1:{self.temporal_ui_port}"
