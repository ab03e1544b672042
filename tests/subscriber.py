"""Somebody who subscribes to CloudEvents: an HTTP server in this process that keeps what it gets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Subscriber:
    """Listens on an address until closed; `down` answers 503. Whatever is signed wrongly is refused."""

    def __init__(self, address: str, secret: str) -> None:
        self.down = False
        self.events: list[dict[str, Any]] = []
        self.refused = 0
        self._secret = secret.encode()
        self._lock = threading.Lock()
        subscriber = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(subscriber._take(dict(self.headers.items()), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self._server.server_address[1]}/events"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        known = {name.lower(): text for name, text in headers.items()}
        signed = f"{known.get('webhook-id')}.{known.get('webhook-timestamp')}.".encode() + body
        expected = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        with self._lock:
            if known.get("webhook-signature") != f"v1,{expected}":
                self.refused += 1
                return 401
            if self.down:
                return 503
            self.events.append(json.loads(body))
            return 204
