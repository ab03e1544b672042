"""Bodies of the API within limits, before any framework reads them."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triggers.body import BodyReader
from triggers.problem import Problem


class CappedBodies:
    """ASGI middleware: reads the body of requests below `prefix` within the reader's limits, then passes it on."""

    def __init__(self, app: ASGIApp, bodies: BodyReader, prefix: str) -> None:
        self._app = app
        self._bodies = bodies
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await self._bodies.read(request.headers, request.stream())
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        unread = True

        async def read_again() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app(scope, read_again, send)
