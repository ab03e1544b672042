"""Request bodies within limits of size, of time and of memory in total."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect

from triggers.problem import Problem

# An unread body may never end, so the connection cannot be used again.
_CLOSE = {"Connection": "close"}


class BodyReader:
    """Reads bodies of at most `limit` bytes within `seconds`, all together at most `total` bytes at a time.

    `total` bounds what senders whom nobody has authenticated yet can make the process hold.
    """

    def __init__(self, limit: int, seconds: float, total: int) -> None:
        self._limit = limit
        self._seconds = seconds
        self._total = total
        self._held = 0

    async def read(self, headers: Mapping[str, str], stream: AsyncIterator[bytes]) -> bytes:
        """The whole body.

        Raises:
            Problem: 413 as soon as the body is, or says that it is, too long; 408 when it takes too long;
                400 when the sender goes away or states a length that is no number; 503 when too many
                bytes are being read already.
        """
        self._check_announced(headers.get("content-length", ""))
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                async for piece in stream:
                    if size + len(piece) > self._limit:
                        raise self._too_large()
                    if self._held + len(piece) > self._total:
                        raise Problem(503, "Busy", "Too many bodies are being received; send it again.", _CLOSE)
                    size += len(piece)
                    self._held += len(piece)
                    pieces.append(piece)
        except TimeoutError:
            detail = f"The body did not arrive within {self._seconds:g} s; send it again."
            raise Problem(408, "BodyTimeout", detail, _CLOSE) from None
        except ClientDisconnect:
            raise Problem(400, "BodyIncomplete", "The sender went away before the body was complete.") from None
        finally:
            self._held -= size
        return b"".join(pieces)

    def _check_announced(self, text: str) -> None:
        if not text:
            return
        if not (text.isascii() and text.isdigit()):
            raise Problem(400, "BadContentLength", "Content-Length is not a number.", _CLOSE)
        # Twenty digits are more than any limit; no need to let int() chew on thousands of them.
        if len(text) > 20 or int(text) > self._limit:
            raise self._too_large()

    def _too_large(self) -> Problem:
        return Problem(413, "BodyTooLarge", f"The body exceeds {self._limit} bytes.", _CLOSE)
