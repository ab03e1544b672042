"""One connection to the server. uvicorn waits for ever for the head of a request; senders may not make it."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Inbound(H11Protocol):
    """Closes when the head of a request has not come whole within `head_seconds` of the connection, or of its
    first byte on a connection that was used before. (Idle ones are uvicorn's; who reads bodies times them.)"""

    head_seconds = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something of a head or of a body has come."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
