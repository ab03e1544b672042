"""Listening: one process, two addresses; the second with a certificate that may change while it is served."""

import asyncio
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn

log = structlog.get_logger(__name__)
LOOK_SECONDS = 10.0


class Certificate:
    """A certificate and its key, two PEM files, read again when they have changed.

    Raises:
        OSError: (`ssl.SSLError` included) they cannot be read, or do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._paths = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._stamp_now()
        self.context.load_cert_chain(*self._paths)

    def refresh(self) -> bool:
        """Serve the new certificate to whoever connects from now on; True when there was one.

        Files that are being replaced may not fit each other for a moment: then the old one stays, and the
        next look tries again.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        try:
            # Tried on the side: a context that has failed half-way would serve nobody.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._paths)
            self.context.load_cert_chain(*self._paths)
        except OSError as error:
            log.error("certificate unusable, the one read before still serves", error=type(error).__name__)
            return False
        self._stamp = stamp
        return True

    async def keep_fresh(self) -> None:
        """Look for a new one for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.refresh():
                log.info("certificate renewed")

    def _stamp_now(self) -> tuple[tuple[int, int], ...]:
        with suppress(OSError):
            return tuple((stat.st_mtime_ns, stat.st_size) for stat in (path.stat() for path in self._paths))
        return ()


class Listener(uvicorn.Server):
    """A server that leaves the process's signals to another."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(first: uvicorn.Config, second: uvicorn.Config | None, certificate: Certificate | None) -> None:
    """Serve `first` until a signal ends it, and `second` (with the certificate) for as long."""
    if second is None or certificate is None:
        await uvicorn.Server(first).serve()
        return
    beside = Listener(second)
    serving = asyncio.create_task(beside.serve())
    fresh = asyncio.create_task(certificate.keep_fresh())
    try:
        await uvicorn.Server(first).serve()
    finally:
        beside.should_exit = True
        fresh.cancel()
        await asyncio.gather(serving, fresh, return_exceptions=True)
