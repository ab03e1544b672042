"""Readiness checks: small functions that say what a service still lacks."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from deploy.local.service import Check


def http_ok(url: str, *, certificate_authority: Path | None = None, verified: bool = True) -> Check:
    """Ready when a GET on ``url`` answers with status 200 within two seconds.

    Args:
        url: to ask.
        certificate_authority: what the server's certificate is verified with.
        verified: False accepts any certificate; only for loopback addresses.
    """

    def check() -> str | None:
        try:
            context = ssl.create_default_context(
                cafile=str(certificate_authority) if certificate_authority else None
            )
            if not verified:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            answer = httpx.get(url, timeout=2.0, verify=context, trust_env=False)
        except (httpx.HTTPError, OSError) as error:
            return f"GET {url}: {error}"
        if answer.status_code != httpx.codes.OK:
            return f"GET {url}: status {answer.status_code}: {answer.text[:200]}"
        return None

    return check


def tcp_open(host: str, port: int) -> Check:
    """Ready when ``host:port`` accepts a connection."""

    def check() -> str | None:
        try:
            with socket.create_connection((host, port), timeout=2.0):
                return None
        except OSError as error:
            return f"connect to {host}:{port}: {error}"

    return check


def command_ok(argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str = "") -> Check:
    """Ready when the command exits 0 within ten seconds and its stdout contains ``output``."""

    def check() -> str | None:
        try:
            done = subprocess.run(
                argv,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=10.0,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{argv[0]}: {error}"
        if done.returncode != 0:
            return f"{argv[0]} exited with {done.returncode}: {done.stderr.strip()[-200:]}"
        if output not in done.stdout:
            return f"{argv[0]} does not print {output!r} yet"
        return None

    return check
