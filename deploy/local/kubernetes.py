"""Kubernetes as host processes: etcd, the control plane, the kubelet and kube-proxy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from deploy.local import containerd, versions
from deploy.local.catalogue import ETCD, KUBERNETES
from deploy.local.cluster import kubectl_ok
from deploy.local.configuration import write_yaml
from deploy.local.errors import ServiceFailed
from deploy.local.readiness import http_ok, tcp_open
from deploy.local.service import Check, Service
from deploy.local.settings import Settings

_SECCOMP_SOURCE = Path("/usr/share/containers/seccomp.json")
_CERTIFICATE_VALIDITY = "87600h"  # ten years: nobody should find the stack expired
_CGROUPS = Path("/sys/fs/cgroup")
_AUDIT_MEGABYTES = "20"


def services(settings: Settings, fill: Callable[[], None], accounts: Callable[[], None]) -> list[Service]:
    """Everything from etcd to kube-proxy; certificates must exist (``prepare_credentials``).

    Args:
        settings: paths and addresses.
        fill: applies what has to be in the cluster, once the API server is ready.
        accounts: makes kubeconfigs for ServiceAccounts, once they can get tokens.
    """
    return [
        _etcd(settings),
        _apiserver(settings, fill),
        _controller_manager(settings, accounts),
        _scheduler(settings),
        _kubelet(settings),
        _proxy(settings),
    ]


def prepare_credentials(settings: Settings) -> None:
    """Make certificates and kubeconfigs with ``kubeadm``'s phases, unless they are there.

    Raises:
        ServiceFailed: kubeadm refused; the message says why.
    """
    configuration = settings.state / "kubernetes" / "kubeadm.yaml"
    pki = settings.state / "kubernetes" / "pki"
    text = yaml.safe_dump_all(_kubeadm_configuration(settings, pki), sort_keys=False)
    if configuration.exists() and configuration.read_text() != text:
        # Other addresses or names than the certificates were made for.
        shutil.rmtree(pki, ignore_errors=True)
        shutil.rmtree(settings.kubeconfigs, ignore_errors=True)
    elif configuration.exists() and (settings.kubeconfigs / "kube-proxy.conf").exists():
        return
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(text)
    settings.kubeconfigs.mkdir(parents=True, exist_ok=True, mode=0o700)
    _kubeadm(settings, "init", "phase", "certs", "all", "--config", str(configuration))
    for kind in ("super-admin", "kubelet", "controller-manager", "scheduler"):
        _kubeadm(
            settings,
            *("init", "phase", "kubeconfig", kind, "--config", str(configuration)),
            *("--kubeconfig-dir", str(settings.kubeconfigs)),
        )
    # kubeadm's own admin.conf is worth something only after a binding that it makes much
    # later; one file with the administrator's rights is enough for one machine.
    (settings.kubeconfigs / "super-admin.conf").rename(settings.kubeconfig)
    proxy = _kubeadm(
        settings,
        *("kubeconfig", "user", "--client-name", "system:kube-proxy", "--config", str(configuration)),
        *("--validity-period", _CERTIFICATE_VALIDITY),
    )
    target = settings.kubeconfigs / "kube-proxy.conf"
    target.touch(mode=0o600)
    target.write_text(proxy)


def coredns_manifests(settings: Settings, repository: str, tag: str) -> list[dict[str, Any]]:
    """The manifests that kubeadm installs CoreDNS with, for an image of ours.

    Args:
        settings: paths and addresses.
        repository: what stands before ``/coredns`` in the image's name.
        tag: of the image.

    Raises:
        ServiceFailed: kubeadm refused.
    """
    configuration = write_yaml(
        settings.state / "kubernetes" / "coredns.yaml",
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "networking": {"serviceSubnet": settings.service_range, "dnsDomain": settings.cluster_domain},
            "dns": {"imageRepository": repository, "imageTag": tag},
        },
    )
    printed = _kubeadm(
        settings, "init", "phase", "addon", "coredns", "--config", str(configuration), "--print-manifest"
    )
    return [document for document in yaml.safe_load_all(printed) if document]


def place_seccomp_profile(settings: Settings) -> None:
    """Let pods ask for ``Localhost: towpath-buildah.json``: it allows user namespaces and little more."""
    folder = settings.state / "kubelet" / "seccomp"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_SECCOMP_SOURCE, folder / "towpath-buildah.json")


def remove_cgroups() -> None:
    """Remove the control groups that the kubelet made; those that still hold a process stay."""
    for root in (_CGROUPS, *_CGROUPS.iterdir()):
        top = root / "kubepods"
        if top.is_dir():
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):
                    group.rmdir()
            with suppress(OSError):
                top.rmdir()


def _kubeadm(settings: Settings, *arguments: str) -> str:
    done = subprocess.run(
        [KUBERNETES.folder(settings) / "kubeadm", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ServiceFailed("KubeadmFailed", f"kubeadm {' '.join(arguments[:4])}: {done.stderr.strip()}")
    return done.stdout


def _kubeadm_configuration(settings: Settings, pki: Path) -> list[dict[str, Any]]:
    names = ["127.0.0.1", "localhost", settings.bridge_address, settings.node_name]
    api = {"apiVersion": "kubeadm.k8s.io/v1beta4"}
    return [
        {
            **api,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {
                "advertiseAddress": settings.bridge_address,
                "bindPort": settings.apiserver_port,
            },
            "nodeRegistration": {
                "name": settings.node_name,
                "criSocket": f"unix://{containerd.socket(settings)}",
            },
        },
        {
            **api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "clusterName": "towpath",
            "certificatesDir": str(pki),
            "certificateValidityPeriod": _CERTIFICATE_VALIDITY,
            "caCertificateValidityPeriod": _CERTIFICATE_VALIDITY,
            "controlPlaneEndpoint": f"{settings.bridge_address}:{settings.apiserver_port}",
            "networking": {
                "serviceSubnet": settings.service_range,
                "podSubnet": settings.pod_range,
                "dnsDomain": settings.cluster_domain,
            },
            "apiServer": {"certSANs": names},
            "etcd": {
                "local": {
                    "dataDir": str(settings.state / "etcd"),
                    "serverCertSANs": names,
                    "peerCertSANs": names,
                }
            },
        },
    ]


def _etcd(settings: Settings) -> Service:
    pki = settings.state / "kubernetes" / "pki"
    client = f"https://127.0.0.1:{settings.etcd_port}"
    peer = f"https://127.0.0.1:{settings.etcd_peer_port}"
    data = settings.state / "etcd"
    return Service(
        name="etcd",
        argv=(
            str(ETCD.folder(settings) / "etcd"),
            "--name=towpath",
            f"--data-dir={data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=towpath={peer}",
            f"--cert-file={pki}/etcd/server.crt",
            f"--key-file={pki}/etcd/server.key",
            f"--trusted-ca-file={pki}/etcd/ca.crt",
            "--client-cert-auth=true",
            f"--peer-cert-file={pki}/etcd/peer.crt",
            f"--peer-key-file={pki}/etcd/peer.key",
            f"--peer-trusted-ca-file={pki}/etcd/ca.crt",
            "--peer-client-cert-auth=true",
            # A killed process loses nothing by this, only a power cut could; it halves write times.
            "--unsafe-no-fsync",
            "--snapshot-count=10000",
            "--log-level=warn",
        ),
        # Data that only root may read: Secrets are in it.
        prepare=lambda: data.mkdir(parents=True, exist_ok=True, mode=0o700),
        ready=tcp_open("127.0.0.1", settings.etcd_port),
        config=(pki / "etcd" / "server.crt",),
    )


def _apiserver(settings: Settings, fill: Callable[[], None]) -> Service:
    pki = settings.state / "kubernetes" / "pki"
    audit = write_yaml(
        settings.state / "kubernetes" / "audit-policy.yaml",
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "verbs": ["get", "list", "watch"]},
                {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
                {"level": "None", "users": ["system:node:" + settings.node_name]},
                {"level": "Metadata"},
            ],
        },
    )
    return Service(
        name="kube-apiserver",
        argv=(
            str(KUBERNETES.folder(settings) / "kube-apiserver"),
            f"--advertise-address={settings.bridge_address}",
            f"--bind-address={settings.bridge_address}",
            f"--secure-port={settings.apiserver_port}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--etcd-servers=https://127.0.0.1:{settings.etcd_port}",
            f"--etcd-cafile={pki}/etcd/ca.crt",
            f"--etcd-certfile={pki}/apiserver-etcd-client.crt",
            f"--etcd-keyfile={pki}/apiserver-etcd-client.key",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
            # The node's name resolves nowhere; logs and exec dial its address.
            "--kubelet-preferred-address-types=InternalIP",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--service-account-issuer=https://kubernetes.default.svc.{settings.cluster_domain}",
            f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key",
            f"--service-cluster-ip-range={settings.service_range}",
            f"--audit-policy-file={audit}",
            f"--audit-log-path={settings.logs}/audit.jsonl",
            f"--audit-log-maxsize={_AUDIT_MEGABYTES}",
            "--audit-log-maxbackup=1",
            "--profiling=false",
        ),
        ready=http_ok(f"{settings.apiserver_url}/readyz", certificate_authority=pki / "ca.crt"),
        then=fill,
        after=("etcd",),
        config=(audit, pki / "apiserver.crt"),
        timeout=120.0,
        # It waits for watches to end otherwise, and ours never do.
        stop_timeout=5.0,
    )


def _controller_manager(settings: Settings, accounts: Callable[[], None]) -> Service:
    pki = settings.state / "kubernetes" / "pki"
    kubeconfig = settings.kubeconfigs / "controller-manager.conf"
    return Service(
        name="kube-controller-manager",
        argv=(
            str(KUBERNETES.folder(settings) / "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={settings.controller_manager_port}",
            f"--client-ca-file={pki}/ca.crt",
            f"--cluster-signing-cert-file={pki}/ca.crt",
            f"--cluster-signing-key-file={pki}/ca.key",
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--profiling=false",
        ),
        ready=_secure_health(settings.controller_manager_port),
        then=accounts,
        after=("kube-apiserver",),
        config=(kubeconfig,),
    )


def _scheduler(settings: Settings) -> Service:
    kubeconfig = settings.kubeconfigs / "scheduler.conf"
    return Service(
        name="kube-scheduler",
        argv=(
            str(KUBERNETES.folder(settings) / "kube-scheduler"),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={settings.scheduler_port}",
            "--leader-elect=false",
            "--profiling=false",
        ),
        ready=_secure_health(settings.scheduler_port),
        after=("kube-apiserver",),
        config=(kubeconfig,),
    )


def _secure_health(port: int) -> Check:
    # Certificates that these make for themselves, on the loopback interface.
    return http_ok(f"https://127.0.0.1:{port}/healthz", verified=False)


def _kubelet(settings: Settings) -> Service:
    pki = settings.state / "kubernetes" / "pki"
    folder = settings.state / "kubelet"
    folder.mkdir(parents=True, exist_ok=True)
    configuration: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.bridge_address,
        "port": settings.kubelet_port,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": settings.kubelet_health_port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{containerd.socket(settings)}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [settings.dns_address],
        "clusterDomain": settings.cluster_domain,
        "maxPods": 110,
        # Chains for what kube-proxy does with nftables here; they would outlive the kubelet.
        "makeIPTablesUtilChains": False,
        "serializeImagePulls": False,
        # The disk is the user's: the kubelet must neither evict nor delete because it is full.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "enforceNodeAllocatable": [],
        "podLogsDir": str(settings.state / "pods" / "logs"),
        "resolvConf": str(_resolver_configuration()),
        "enableServer": True,
        "volumePluginDir": str(folder / "volume-plugins"),
    }
    config = write_yaml(folder / "config.yaml", configuration)
    return Service(
        name="kubelet",
        argv=(
            str(KUBERNETES.folder(settings) / "kubelet"),
            f"--config={config}",
            f"--root-dir={folder}",
            f"--cert-dir={folder}/pki",
            f"--kubeconfig={settings.kubeconfigs}/kubelet.conf",
            f"--hostname-override={settings.node_name}",
            f"--node-ip={settings.bridge_address}",
        ),
        ready=kubectl_ok(
            settings,
            *("get", "node", settings.node_name),
            *("-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'),
            output="True",
        ),
        after=("kube-apiserver", containerd.NAME),
        config=(config, settings.kubeconfigs / "kubelet.conf"),
        timeout=90.0,
    )


def _proxy(settings: Settings) -> Service:
    config = write_yaml(
        settings.state / "kubernetes" / "kube-proxy.yaml",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "bindAddress": settings.bridge_address,
            "healthzBindAddress": f"127.0.0.1:{settings.proxy_health_port}",
            "metricsBindAddress": f"127.0.0.1:{settings.proxy_metrics_port}",
            "clusterCIDR": settings.pod_range,
            "hostnameOverride": settings.node_name,
            "clientConnection": {"kubeconfig": str(settings.kubeconfigs / "kube-proxy.conf")},
            # Raising the machine's conntrack limits is not ours to do.
            "conntrack": {"maxPerCore": 0, "min": 0},
            "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
        },
    )
    return Service(
        name="kube-proxy",
        argv=(str(KUBERNETES.folder(settings) / "kube-proxy"), f"--config={config}"),
        ready=http_ok(f"http://127.0.0.1:{settings.proxy_health_port}/livez"),
        after=("kube-apiserver",),
        config=(config, settings.kubeconfigs / "kube-proxy.conf"),
    )


def _resolver_configuration() -> Path:
    # systemd-resolved's stub listens on the host's loopback, where no pod gets to.
    behind_stub = Path("/run/systemd/resolve/resolv.conf")
    return behind_stub if behind_stub.exists() else Path("/etc/resolv.conf")
