"""`/api/v1/statements/…`: any call that steers, signed instead of sent.

`POST /api/v1/statements/components/default/web/approve` takes what `POST /api/v1/components/default/web/approve`
takes, from the same people, refuses for the same reasons, and answers with the update that it would have sent.
The call goes through the very same route, so that there is one authorization and no second list of what exists.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from triggers.signing import NotSent, only_signing

PATH = "/statements"


class Statements:
    """Takes the prefix off and sees to it that nothing is sent."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """`prefix` is the API's, without a slash at its end."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        marked = f"{self._prefix}{PATH}/"
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(marked):
            await self._app(scope, receive, send)
            return
        path = f"{self._prefix}/{scope['path'].removeprefix(marked)}"
        with only_signing():
            await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send)


async def signed(_: Request, instead: Exception) -> Response:
    """What is answered instead of sending it."""
    assert isinstance(instead, NotSent)  # noqa: S101  (registered for it)
    return JSONResponse(instead.signed.model_dump(mode="json"))
