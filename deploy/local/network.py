"""The bridge that joins host services and pods."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local.configuration import write_text
from deploy.local.errors import StackError
from deploy.local.settings import Settings

_SYSCTLS = {
    # Pods reach each other, ClusterIPs and the outside through the host.
    "net/ipv4/ip_forward": "1",
    # Answers from a pod on the bridge pass conntrack too, or ClusterIPs would not be undone.
    "net/bridge/bridge-nf-call-iptables": "1",
}

_FOUND = "network.json"
_NFT_TABLE = "towpath"
# What listens on the bridge's address is for this machine and its pods: who routes packets for it
# here from elsewhere gets no answer. Argo's debugging port listens everywhere and is for nobody else.
_NFT_RULES = """\
table ip {table}
delete table ip {table}
table ip {table} {{
  chain outside {{
    type nat hook postrouting priority srcnat;
    ip saddr {pods} ip daddr != {pods} oifname != "{bridge}" masquerade
  }}
  chain inside {{
    type filter hook input priority filter;
    iifname "lo" accept
    tcp dport {{ {debugging} }} drop
    iifname "{bridge}" accept
    iifname "veth*" accept
    iifname "cilium_*" accept
    ip daddr {address} drop
  }}
}}
"""
_PROXY_TABLES = ("ip kube-proxy", "ip6 kube-proxy")
_IPTABLES_TABLES = tuple(
    f"{family} {table}" for family in ("ip", "ip6") for table in ("raw", "mangle", "nat", "filter")
)


@dataclass
class _Found:
    """How the network was before: what ``remove_bridge`` goes back to.

    Args:
        sysctls: values that were changed, by name.
        tables: nftables tables that were there.
    """

    sysctls: dict[str, str]
    tables: list[str]

    @classmethod
    def read(cls, settings: Settings) -> _Found | None:
        path = settings.state / _FOUND
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def write(self, settings: Settings) -> None:
        write_text(settings.state / _FOUND, json.dumps(asdict(self)))

    def forget(self, settings: Settings) -> None:
        (settings.state / _FOUND).unlink()


def create_bridge(settings: Settings) -> None:
    """Make the bridge with its address, and let the kernel forward; safe to run twice.

    It must exist before the first pod, because host services listen on its address.

    Raises:
        StackError: the address range is in use by something else on this machine.
    """
    if not _exists(settings.bridge):
        _refuse_overlap(settings)
        _ip("link", "add", settings.bridge, "type", "bridge")
    address = f"{settings.bridge_address}/{settings.bridge_prefix}"
    _ip("address", "replace", address, "dev", settings.bridge)
    _ip("link", "set", settings.bridge, "up")
    found = _Found.read(settings) or _Found(sysctls={}, tables=_tables())
    for name, value in _SYSCTLS.items():
        path = Path("/proc/sys") / name
        if path.exists() and (before := path.read_text().strip()) != value:
            found.sysctls.setdefault(name, before)
            path.write_text(value)
    found.write(settings)
    _nft(
        _NFT_RULES.format(
            table=_NFT_TABLE,
            pods=settings.pod_range,
            bridge=settings.bridge,
            address=settings.bridge_address,
            debugging=f"{settings.argo_health_port}, {settings.argo_metrics_port}",
        )
    )


def remove_bridge(settings: Settings) -> None:
    """Remove the bridge with the pods' links on it, and put back what else ``create_bridge`` changed.

    Does nothing when this stack made no bridge.
    """
    found = _Found.read(settings)
    if found is None:
        return
    if _exists(settings.bridge):
        for link in _links("master", settings.bridge):
            _ip("link", "delete", link)
        _ip("link", "delete", settings.bridge)
    for table in (f"ip {_NFT_TABLE}", *_PROXY_TABLES):
        # Declared first, so that deleting one that is not there is no error.
        _nft(f"table {table}\ndelete table {table}\n")
    # iptables makes its tables at first use and leaves them, empty.
    for table in set(_IPTABLES_TABLES) & set(_tables()) - set(found.tables):
        if not _has_rules(table):
            _nft(f"delete table {table}\n")
    for name, value in found.sysctls.items():
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text(value)
    found.forget(settings)


def _refuse_overlap(settings: Settings) -> None:
    ours = ipaddress.ip_network(settings.pod_range)
    routes = json.loads(_ip("-json", "-4", "route", "show"))
    for route in routes:
        if route["dst"] != "default" and ipaddress.ip_network(route["dst"]).overlaps(ours):
            raise StackError(
                "AddressInUse",
                f"{settings.pod_range} is the stack's, but this machine routes {route['dst']} "
                f"through {route.get('dev', 'another link')}; remove that network first",
            )


def _exists(link: str) -> bool:
    return Path("/sys/class/net", link).exists()


def _links(*selection: str) -> list[str]:
    return [link["ifname"] for link in json.loads(_ip("-json", "link", "show", *selection) or "[]")]


def _ip(*arguments: str) -> str:
    return _run(["ip", *arguments])


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            "NetworkRefused", f"{' '.join(argv)}: {done.stderr.strip()}; root with CAP_NET_ADMIN is needed"
        )
    return done.stdout


def _tables() -> list[str]:
    listed = json.loads(_run(["nft", "--json", "list", "tables"]))["nftables"]
    return [f"{each['table']['family']} {each['table']['name']}" for each in listed if "table" in each]


def _has_rules(table: str) -> bool:
    listed = json.loads(_run(["nft", "--json", "list", "table", *table.split()]))["nftables"]
    return any(
        "rule" in each or ("chain" in each and each["chain"].get("policy", "accept") != "accept")
        for each in listed
    )


def _nft(rules: str) -> None:
    done = subprocess.run(["nft", "--file", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError("NetworkRefused", f"nft: {done.stderr.strip()}; the kernel needs nf_tables")
