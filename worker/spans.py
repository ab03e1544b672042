"""Where spans go. Imported only where tracing is on: the exporter brings an HTTP client of its own."""

import logging
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider, create_tracer_provider

ATTRIBUTE_LIMIT = 1000
"""Characters of a span attribute; what is longer (stack traces) is cut."""
EXPORT_SECONDS = 3
"""How long one export may take, its retries included: a process that ends waits for its last one."""
_READS = ("QueryWorkflow:", "HandleQuery:")


class Changes(BatchSpanProcessor):
    """Sends the spans of changes.

    Every look at the status is a handful of queries, and nobody's story. A workflow that leaves a worker's
    cache has its coroutines closed, in the middle of which its open spans end; it goes on later, there or
    elsewhere, under the same span ids, and what it ends itself then is what counts.
    """

    def on_end(self, span: ReadableSpan) -> None:
        """Leave queries and evicted workflows out."""
        if not span.name.startswith(_READS) and sys.exc_info()[0] is not GeneratorExit:
            super().on_end(span)


def _worth_logging(record: logging.LogRecord) -> bool:
    # Of evicted workflows again: what the collector cannot detach is gone anyway.
    return not record.getMessage().startswith("Failed to detach context")


def provider(endpoint: str, service: str) -> ReplaySafeTracerProvider:
    """Spans of a service, sent to an OTLP/HTTP endpoint (without `/v1/traces`) in the background.

    A collector that is away costs spans, never a delivery. Sampling, headers and certificates are
    OpenTelemetry's own settings (`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` ...).
    """
    logging.getLogger("opentelemetry.context").addFilter(_worth_logging)
    made = create_tracer_provider(
        resource=Resource.create({"service.name": service}),
        span_limits=SpanLimits(max_attribute_length=ATTRIBUTE_LIMIT),
    )
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    made.add_span_processor(Changes(exporter))
    return made
