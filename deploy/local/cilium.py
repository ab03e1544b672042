"""Cilium behind the bridge: what makes NetworkPolicy count."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from deploy.local.catalogue import CILIUM
from deploy.local.cluster import kubectl_ok
from deploy.local.readiness import http_ok
from deploy.local.service import Service
from deploy.local.settings import Settings

AGENT = "cilium-agent"
_LLVM = Path("/usr/lib/llvm-19/bin")
_ROUTER = "169.254.23.1"
_DEFINITIONS = ("ciliumnodes.cilium.io", "ciliumendpoints.cilium.io", "ciliumidentities.cilium.io")
_LINKS = ("cilium_host", "cilium_net")
_DELETE_QUEUE = Path("/var/run/cilium/deleteQueue")  # fixed in the plugin's source
_TABLES = ("raw", "mangle", "nat", "filter")

PLUGIN: dict[str, object] = {"type": "cilium-cni", "chaining-mode": "generic-veth"}
"""Comes after the bridge in the CNI configuration."""


def socket(settings: Settings) -> Path:
    """Where the agent answers its CNI plugin; the plugin learns it from ``CILIUM_SOCK``."""
    return settings.run / "cilium.sock"


def plugin_binary(settings: Settings) -> Path:
    """The built CNI plugin."""
    return CILIUM.folder(settings) / "cilium-cni"


def services(settings: Settings) -> list[Service]:
    """The operator, which makes Cilium's definitions, and the agent on this node."""
    kubeconfig = str(settings.kubeconfig)
    folder = settings.state / "cilium"
    environment = {"K8S_NODE_NAME": settings.node_name, "CILIUM_K8S_NAMESPACE": "kube-system"}
    return [
        Service(
            name="cilium-operator",
            argv=(
                str(CILIUM.folder(settings) / "cilium-operator"),
                *_flags(
                    {
                        "k8s-kubeconfig-path": kubeconfig,
                        "k8s-namespace": "kube-system",
                        "cluster-name": "towpath",
                        "identity-allocation-mode": "crd",
                        "ipam": "delegated-plugin",
                        "enable-ipv6": "false",
                        "enable-l7-proxy": "false",
                        "enable-gops": "false",
                        "enable-lb-ipam": "false",
                        "operator-api-serve-addr": f"127.0.0.1:{settings.cilium_operator_port}",
                        "operator-prometheus-serve-addr": "",
                        "remove-cilium-node-taints": "false",
                        "set-cilium-is-up-condition": "false",
                        "enable-policy-secrets-sync": "false",
                        # It would restart the DNS after each `up`, being quicker than the agent.
                        "unmanaged-pod-watcher-interval": "0",
                        # Two seconds in place of fifteen until a killed one has a successor.
                        "leader-election-lease-duration": "4s",
                        "leader-election-renew-deadline": "3s",
                        "leader-election-retry-period": "1s",
                    }
                ),
            ),
            env=environment,
            ready=kubectl_ok(settings, "get", "crd", *_DEFINITIONS),
            after=("kube-apiserver",),
        ),
        Service(
            name=AGENT,
            argv=(
                str(CILIUM.folder(settings) / "cilium-agent"),
                *_flags(
                    {
                        "k8s-kubeconfig-path": kubeconfig,
                        "cluster-name": "towpath",
                        "identity-allocation-mode": "crd",
                        "cni-chaining-mode": "generic-veth",
                        "cni-exclusive": "false",
                        # Addresses, routes and masquerading stay the bridge's.
                        "cni-external-routing": "true",
                        "ipam": "delegated-plugin",
                        "local-router-ipv4": _ROUTER,
                        "routing-mode": "native",
                        "ipv4-native-routing-cidr": settings.pod_range,
                        "enable-endpoint-routes": "true",
                        "enable-ipv4-masquerade": "false",
                        "enable-ipv6": "false",
                        "kube-proxy-replacement": "false",
                        # Off would make the host "world", and readiness probes would be refused.
                        "install-iptables-rules": "true",
                        # So that an ipBlock can name the node's own address.
                        "policy-cidr-match-mode": "nodes",
                        "enable-l7-proxy": "false",
                        "enable-envoy-config": "false",
                        "enable-hubble": "false",
                        "enable-health-checking": "false",
                        "enable-endpoint-health-checking": "false",
                        "enable-gops": "false",
                        "enable-bpf-clock-probe": "true",
                        "preallocate-bpf-maps": "false",
                        "monitor-aggregation": "medium",
                        "agent-health-port": str(settings.cilium_health_port),
                        "socket-path": str(socket(settings)),
                        "state-dir": str(folder / "run"),
                        "lib-dir": str(folder / "lib"),
                        "bpf-root": str(folder / "bpffs"),
                        "cgroup-root": str(folder / "cgroup"),
                        "cni-log-file": str(settings.logs / "cilium-cni.log"),
                    }
                ),
            ),
            env={
                **environment,
                "PATH": f"{_LLVM}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            },
            prepare=lambda: _link_programs(settings),
            ready=http_ok(f"http://127.0.0.1:{settings.cilium_health_port}/healthz"),
            # The agent asks for its Node, which the kubelet makes.
            after=("cilium-operator", "kubelet"),
            timeout=120.0,
        ),
    ]


def remove_leftovers() -> None:
    """Remove the links, iptables chains and folder that the agent made; they outlive it on purpose."""
    # Removals that the plugin could not tell the agent of: the pods are all gone now.
    shutil.rmtree(_DELETE_QUEUE, ignore_errors=True)
    with suppress(OSError):
        _DELETE_QUEUE.parent.rmdir()
    for link in _LINKS:
        subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
    for table in _TABLES:
        _remove_chains(table)


def _remove_chains(table: str) -> None:
    saved = subprocess.run(
        ["iptables-save", "--table", table], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    # Jumps from the built-in chains first, or the chains would be in use.
    rules = [line.split() for line in saved if line.startswith("-A ") and "CILIUM_" in line]
    for rule in rules:
        if not rule[1].startswith("CILIUM_"):
            target = rule[rule.index("-j") + 1]
            _iptables(table, "--delete", rule[1], *_matches(rule), "--jump", target)
    chains = [line[1:].split()[0] for line in saved if line.startswith(":CILIUM_")]
    for command in ("--flush", "--delete-chain"):
        for chain in chains:
            _iptables(table, command, chain)


def _matches(rule: list[str]) -> list[str]:
    # The agent marks its jumps with a comment and nothing else.
    if "--comment" not in rule:
        return []
    start = rule.index("--comment")
    end = rule.index("-j")
    return ["-m", "comment", "--comment", " ".join(rule[start + 1 : end]).strip('"')]


def _iptables(table: str, *arguments: str) -> None:
    subprocess.run(["iptables", "--wait", "--table", table, *arguments], capture_output=True, check=False)


def _flags(options: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _link_programs(settings: Settings) -> None:
    # The agent looks for the programs that it compiles below its library folder.
    library = settings.state / "cilium" / "lib"
    library.mkdir(parents=True, exist_ok=True)
    link = library / "bpf"
    target = CILIUM.folder(settings) / "bpf"
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
