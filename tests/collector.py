"""A collector: takes spans by OTLP over HTTP, as Jaeger or the OpenTelemetry Collector do, and keeps them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What came: `bodies` as sent, `paths` where to, `spans` as read."""

    address: str = ""
    bodies: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def take(self, path: str, body: bytes) -> None:
        """One export."""
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.add(path)
        self.bodies.append(body)
        for resource in request.resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(told["service.name"])
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def trace(self, span: Span) -> list[Span]:
        """All spans of the same trace."""
        return [other for other in self.spans if other.trace_id == span.trace_id]

    def path(self, span: Span) -> list[str]:
        """The names from the root of a trace down to a span. Fails where a parent never came."""
        by_id = {(other.trace_id, other.span_id): other for other in self.spans}
        names = [span.name]
        while span.parent_span_id:
            span = by_id[span.trace_id, span.parent_span_id]
            names.insert(0, span.name)
        return names


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port for as long as the block lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def attribute(span: Span, name: str) -> str:
    """A text attribute of a span; empty when it has none of this name."""
    return next((each.value.string_value for each in span.attributes if each.key == name), "")
