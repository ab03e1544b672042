"""A greeting service on the standard library alone."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WORDS = Path("sorted.txt").read_text().split()


class Greeting(BaseHTTPRequestHandler):
    """Answers every path with a greeting, and `/healthz` with `ok`."""

    def do_GET(self) -> None:
        body = "ok\n" if self.path == "/healthz" else f"{WORDS[0]} from {os.environ.get('TOWPATH_ENVIRONMENT')}\n"
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Probes would fill the log."""


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(os.environ.get("PORT", "9090"))), Greeting).serve_forever()
