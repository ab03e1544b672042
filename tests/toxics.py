"""A connection that fails on purpose: a proxy of the stack's toxiproxy before something real."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from uuid import uuid4

import httpx

Stream = Literal["upstream", "downstream"]


class Toxics:
    """One proxy. What it is told holds for connections that are open already as well."""

    def __init__(self, http: httpx.Client, name: str, address: str) -> None:
        self._http = http
        self._name = name
        self.address = address

    def close(self) -> None:
        """Refuse connections, and break those that there are."""
        self._tell("POST", "", {"enabled": False})

    def open(self) -> None:
        """Let everything through again."""
        for toxic in self._http.get(f"/proxies/{self._name}/toxics").json():
            self._tell("DELETE", f"/toxics/{toxic['name']}", None)
        self._tell("POST", "", {"enabled": True})

    def swallow(self, stream: Stream) -> None:
        """Let nothing more through in one direction; nobody is told."""
        self._toxic("timeout", stream, timeout=0)

    def slow(self, milliseconds: int, stream: Stream = "downstream") -> None:
        """Let everything through, late."""
        self._toxic("latency", stream, latency=milliseconds)

    def _toxic(self, kind: str, stream: Stream, **attributes: int) -> None:
        self._tell("POST", "/toxics", {"type": kind, "stream": stream, "attributes": attributes})

    def _tell(self, method: str, path: str, body: Any) -> None:
        self._http.request(method, f"/proxies/{self._name}{path}", json=body).raise_for_status()


@contextmanager
def before(url: str, upstream: str, host: str = "127.0.0.1") -> Iterator[Toxics]:
    """A proxy on a free port before `upstream` (host:port).

    Args:
        url: of toxiproxy's API.
        upstream: where it leads.
        host: where it listens.
    """
    name, address = f"test-{uuid4().hex[:8]}", f"{host}:{free_port(host)}"
    with httpx.Client(base_url=url, timeout=10, trust_env=False) as http:
        made = {"name": name, "listen": address, "upstream": upstream, "enabled": True}
        http.post("/proxies", json=made).raise_for_status()
        try:
            yield Toxics(http, name, address)
        finally:
            http.delete(f"/proxies/{name}")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])
