"""Webhooks as a Git server sends them, rightly and wrongly."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import httpx

ZERO = "0" * 40


class Sender:
    """Sends to the server of `towpath local env`, signed with its secret."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.url = environment["TOWPATH_URL"]
        self._secret = environment["TOWPATH_WEBHOOK_SECRET"]
        self._http = httpx.Client(base_url=self.url, timeout=15, trust_env=False)

    @staticmethod
    def push(url: str, after: str, before: str = ZERO, ref: str = "refs/heads/main", **more: Any) -> bytes:
        """The body that announces that a ref has moved."""
        moved = {"repository": {"url": url}, "ref": ref, "before": before, "after": after, "forced": False}
        return json.dumps({**moved, **more}).encode()

    def signature(self, body: bytes, secret: str = "") -> str:
        """What X-Hub-Signature-256 must say of a body."""
        return "sha256=" + hmac.new((secret or self._secret).encode(), body, hashlib.sha256).hexdigest()

    def send(self, body: bytes, headers: Mapping[str, str] | None = None, provider: str = "git") -> httpx.Response:
        """Send a body, signed unless `headers` say otherwise; an empty header is left out."""
        own = {
            "Content-Type": "application/json",
            "X-Towpath-Event": "push",
            "X-Towpath-Delivery": hashlib.sha256(body).hexdigest(),
            "X-Hub-Signature-256": self.signature(body),
            **(headers or {}),
        }
        told = {name: value for name, value in own.items() if value}
        return self._http.post(f"/webhooks/{provider}", content=body, headers=told)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
