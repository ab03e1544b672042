"""Builds: list, look, read the log, cancel, retry."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from model.failure import NotFound
from triggers.api.access import Commit, Key, Number, RequestId, Steerer, Use, reader
from triggers.views import Accepted, BuildView

UNFINISHED = ("admitted", "queued", "running")
OFFSET_HEADER, COMPLETE_HEADER = "Towpath-Log-Offset", "Towpath-Log-Complete"

router = APIRouter(prefix="/components/{namespace}/{name}/builds", dependencies=[Depends(reader)], tags=["builds"])


@router.get("")
async def list_builds(
    use: Use, component: Key, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> list[BuildView]:
    """The newest builds first."""
    return await use.builds.newest(component, limit)


@router.get("/{commit}/{number}")
async def get_build(use: Use, component: Key, commit: Commit, number: Number) -> BuildView:
    """One attempt at a commit."""
    return await use.builds.get(component, commit, number)


@router.get("/{commit}/{number}/log")
async def read_log(
    use: Use, component: Key, commit: Commit, number: Number, offset: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """The log from `offset` (bytes) on, as plain text.

    `Towpath-Log-Offset` says where to go on; ask again until `Towpath-Log-Complete` is `true`.
    """
    # Looked at before reading: what is complete now cannot grow between the two.
    build = await use.builds.get(component, commit, number)
    content, following = b"", offset
    if build.log:
        try:
            piece = await use.logs.read(build.log, offset)
            content, following = piece.content, piece.offset
        except NotFound:
            if build.phase not in UNFINISHED:
                raise
    ended = build.phase not in UNFINISHED and not content
    return Response(
        content,
        media_type="text/plain; charset=utf-8",
        headers={OFFSET_HEADER: str(following), COMPLETE_HEADER: "true" if ended else "false"},
    )


@router.post("/{commit}/{number}/cancel", status_code=202)
async def cancel(use: Use, component: Key, commit: Commit, number: Number, _: Steerer) -> Accepted:
    """Stop a running build."""
    return await use.builds.cancel(component, commit, number)


@router.post("/{commit}/retry", status_code=202)
async def retry(use: Use, component: Key, commit: Commit, actor: Steerer, request: RequestId) -> Accepted:
    """Build a commit once more."""
    return await use.builds.retry(component, commit, request, actor)
