"""Traces by OTLP (off unless an endpoint is set) and metrics for Prometheus."""

from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from worker.settings import Settings
from workflows.metrics import BUCKETS


def runtime(settings: Settings) -> Runtime:
    """One runtime a process; its metrics are served at `metrics_listen` when that is set."""
    if not settings.metrics_listen:
        return Runtime(telemetry=TelemetryConfig())
    metrics = PrometheusConfig(bind_address=settings.metrics_listen, histogram_bucket_overrides=BUCKETS)
    return Runtime(telemetry=TelemetryConfig(metrics=metrics))


def tracing(settings: Settings, service: str) -> list[OpenTelemetryPlugin]:
    """The tracing plugin when an OTLP endpoint is set: one trace a change, from webhook to rollout."""
    if not settings.otlp_endpoint:
        return []
    from opentelemetry import trace

    from worker.spans import provider

    trace.set_tracer_provider(provider(settings.otlp_endpoint, service))
    return [OpenTelemetryPlugin(add_temporal_spans=True)]
