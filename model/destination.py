"""Which addresses may be spoken to on behalf of somebody who could name any.

An address that a manifest, a webhook or a redirect names is followed by processes that reach more than its author
does: their own machine, and the place where a cloud tells machines their credentials (RFC 3927 link-local).
"""

import ipaddress
from urllib.parse import urlsplit

from pydantic import Field

from model.failure import UserFailure
from model.value import Value

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Clouds tell machines their credentials here, besides at link-local addresses: AWS over IPv6, Google over IPv6,
# Alibaba, Oracle's classic one, Azure's wire server.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# Addresses of IPv4 in other clothes: RFC 6052 (NAT64), RFC 4291 section 2.5.5.1 (IPv4-compatible).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_SHARED = ipaddress.ip_network("100.64.0.0/10")
_PORTS = {"http": 80, "https": 443}


class Reach(Value):
    """How far calls may go.

    `hosts` (`host` or `host:port`, lower case) are those that the operator vouches for: they may lead to this very
    machine and into private networks. `private` says whether all others may lead into private networks, where
    people's own Git servers are; to this machine they may never lead. Link-local and metadata addresses are never
    spoken to, whoever vouches.
    """

    hosts: tuple[str, ...] = Field(default=(), max_length=100)
    private: bool = True

    def vouched(self, host: str, port: int) -> bool:
        """Whether the operator names this host."""
        named = {each.lower() for each in self.hosts}
        return host.lower() in named or f"{host.lower()}:{port}" in named


def check_origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address that may be called.

    Raises:
        UserFailure: `BadAddress`, it is not http or https, holds credentials or cannot be read; the address is
            not quoted.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in _PORTS or not host or parts.username is not None or parts.password is not None:
        raise UserFailure(
            "BadAddress", "An address must be http:// or https://, with a host and without credentials."
        )
    return parts.scheme, host.lower(), port or _PORTS[parts.scheme]


def refusal(host: str, port: int, address: str, reach: Reach) -> str:
    """Why an address that a host's name leads to may not be spoken to; empty when it may.

    Args:
        host: as the caller names it.
        port: that is called.
        address: one that the name was found to lead to.
        reach: what the operator allows.
    """
    try:
        found = _plain(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return "it is no address"
    if host.lower().rstrip(".") in _METADATA_NAMES or found in _METADATA or found.is_link_local:
        return "it is link-local or tells machines their credentials"
    if found.is_multicast or found.is_unspecified or _reserved(found):
        return "nothing can listen there"
    if reach.vouched(host, port):
        return ""
    if found.is_loopback:
        return "it is the machine that asks"
    if not reach.private and (found.is_private or found in _SHARED):
        return "it is in a private network"
    return ""


def _reserved(address: _Address) -> bool:
    # NAT64 and others lie in what IPv6 calls reserved: only IPv4's class E is meant.
    return isinstance(address, ipaddress.IPv4Address) and address.is_reserved


def _plain(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and address in _COMPATIBLE and int(address) > 0xFFFF:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address
