"""Where registries send to. Of addresses that hold a secret nothing but their beginning is ever seen again."""

import uuid
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triggers.webhooks.registry.unsigned import REQUEST, SECRET

Receive = Callable[[Request], Awaitable[Response]]
PREFIX = "/webhooks/registry/"
_SEGMENTS = 4


def secret_route(name: str, receive: Receive) -> Route:
    """The route `/webhooks/<name>/<secret>`: the secret goes from the address into a header."""

    async def endpoint(request: Request) -> Response:
        secret = request.path_params.get("secret", "")
        kept = [(key, value) for key, value in request.scope["headers"] if key not in _OURS]
        told = (
            (SECRET.encode(), secret.encode("latin-1", "replace")),
            (REQUEST.encode(), uuid.uuid4().hex.encode()),
        )
        path = f"/webhooks/{name}"
        scope = {**request.scope, "path": path, "raw_path": path.encode(), "path_params": {}, "query_string": b""}
        return await receive(Request({**scope, "headers": [*kept, *told]}, request.receive))

    return Route(f"/webhooks/{name}/{{secret}}", endpoint, methods=["POST"])


def shown(path: str) -> str:
    """A path for logs: what follows the registry's kind may be a secret."""
    if not path.startswith(PREFIX):
        return path
    return "/".join(path.split("/")[:_SEGMENTS]) + ("/…" if path.count("/") >= _SEGMENTS else "")


_OURS = (SECRET.encode(), REQUEST.encode())
