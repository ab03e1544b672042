"""What the server counts, for Prometheus."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Metrics in a registry of their own, so that two servers in one process do not collide."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._webhooks = Counter(
            "towpath_webhooks",
            "Webhooks by provider and outcome.",
            ["provider", "outcome"],
            registry=self._registry,
        )
        self._acknowledged = Histogram(
            "towpath_webhook_seconds",
            "From the request's headers to the answer, by provider.",
            ["provider"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._applied = Counter(
            "towpath_applied",
            "Deliveries started for applied manifests, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._waiting = Gauge(
            "towpath_gates_waiting",
            "Releases that wait for people, at a gate or a held lane, by environment.",
            ["environment"],
            registry=self._registry,
        )
        self._ready = Gauge("towpath_server_ready", "Whether webhooks are taken.", registry=self._registry)

    def webhook(self, provider: str, outcome: str, seconds: float) -> None:
        """One webhook was answered; `outcome` is Accepted, Duplicate, or the reason it started nothing."""
        self._webhooks.labels(provider, outcome).inc()
        self._acknowledged.labels(provider).observe(seconds)

    def applied(self, outcome: str) -> None:
        """One applied manifest was looked at; `outcome` is Started, Duplicate or Failed."""
        self._applied.labels(outcome).inc()

    def exposition(self, ready: bool, waiting: Mapping[str, int]) -> bytes:
        """All of it in Prometheus' text format.

        Args:
            ready: whether webhooks are taken.
            waiting: how many releases wait for people, by environment.
        """
        self._ready.set(ready)
        self._waiting.clear()
        for environment, number in waiting.items():
            self._waiting.labels(environment).set(number)
        return generate_latest(self._registry)
