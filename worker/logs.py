"""Logs: structlog's formatting over the standard library, so that Temporal's loggers go the same way.

Inside workflows only `workflow.logger` is used; it is silent on replay and ends here as well.
"""

import logging
import sys

import structlog


def configure(level: str, form: str) -> None:
    """Send everything to standard error, as JSON lines (`json`) or for people (`text`)."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if form == "text" else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Both log whole URLs and headers at INFO, which is noise at best and a leak at worst.
    for noisy in ("httpx", "httpcore", "kubernetes.aio.client.rest", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
