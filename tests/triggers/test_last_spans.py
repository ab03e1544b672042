"""A server's last spans are sent before it ends, and a collector that is away does not keep it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.collector import attribute, collecting

ROOT = Path(__file__).parents[2]
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: away
contexts: [{name: away, context: {cluster: away, user: nobody}}]
clusters: [{name: away, cluster: {server: "http://127.0.0.1:%d"}}]
users: [{name: nobody, user: {token: none}}]
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(folder: Path, otlp_endpoint: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process of the real server, whose API server and Temporal are away."""
    address = f"127.0.0.1:{free_port()}"
    tokens = folder / "tokens.json"
    tokens.write_text("[]")
    key = folder / "signing.pem"
    made = Ed25519PrivateKey.generate()
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG % free_port())
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME")},
        "PYTHONPATH": str(ROOT),
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
        "TOWPATH_KUBECONFIG": str(kubeconfig),
        "TOWPATH_LISTEN": address,
        "TOWPATH_TOKENS": str(tokens),
        "TOWPATH_SIGNING_KEY": str(key),
        "TOWPATH_WEBHOOK_SECRET": "a-secret",
        "TOWPATH_OTLP_ENDPOINT": otlp_endpoint,
    }
    argv = [sys.executable, "-m", "worker", "serve"]
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, env=environment, stderr=log) as process:
        try:
            yield f"http://{address}", process
        finally:
            process.kill()


def post(url: str, process: subprocess.Popen[bytes]) -> httpx.Response:
    """Wait for the server, and send it a webhook, which it does not take yet."""
    until = time.monotonic() + 60
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < until:
            try:
                return client.post(f"{url}/webhooks/git", content=b"{}", headers={"X-Towpath-Event": "push"})
            except httpx.TransportError:
                time.sleep(0.1)
    pytest.fail("the server does not answer")


def test_a_server_that_is_told_to_stop_sends_what_it_still_has(tmp_path: Path) -> None:
    with collecting() as collector, server(tmp_path, collector.address) as (url, process):
        assert post(url, process).status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        [span] = [span for span in collector.spans if span.name == "webhook git"]
    assert attribute(span, "towpath.outcome") == "NotReady"


def test_a_collector_that_is_away_does_not_keep_a_server(tmp_path: Path) -> None:
    with server(tmp_path, f"http://127.0.0.1:{free_port()}") as (url, process):
        assert post(url, process).status_code == 503
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - begun < 8
