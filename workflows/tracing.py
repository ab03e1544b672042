"""The trace of a change, where it cannot travel with the call: through the state of an entity.

Headers carry a trace from the webhook through children, activities and signals. A lane's main loop is none of
these: what a handler takes in is served later, by the loop, whose own trace is that of the change that
happened to start the lane. So whoever asks notes `here()`, and the loop works inside `joined()` of it.

Without tracing `here()` is empty and `joined("")` does nothing. Neither makes a command, so histories replay
whether they were recorded with tracing or without.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from opentelemetry import context as contexts
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def here() -> str:
    """The W3C traceparent of the handler or run at hand; empty when nothing is traced."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def joined(traceparent: str) -> Iterator[None]:
    """Have what is started in this block belong to that trace."""
    if not traceparent:
        yield
        return
    token = contexts.attach(_PROPAGATOR.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        # An evicted workflow is finalised wherever garbage is collected; there the token is not valid, and
        # there is nothing to leave. `contexts.detach` would log an error.
        with suppress(ValueError):
            token.var.reset(token)
