"""Previews: list, look, read the build's log, open, extend, close."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from model import ids
from model.change_request import NAME_RULE
from model.failure import Conflict, NotFound
from model.key import ComponentKey
from model.preview import PreviewOrder
from triggers.api.access import Key, Named, RequestId, Steerer, Use, reader
from triggers.views import Accepted, PreviewView

Change = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$", description=NAME_RULE)]

router = APIRouter(
    prefix="/components/{namespace}/{name}/previews", dependencies=[Depends(reader)], tags=["previews"]
)


class OpenBody(BaseModel):
    """The branch to show."""

    model_config = ConfigDict(extra="forbid")

    branch: str = Field(min_length=1, max_length=244)


class CloseBody(BaseModel):
    """Why; it is kept."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class AllowBody(BaseModel):
    """The whole id of the commit that was looked at."""

    model_config = ConfigDict(extra="forbid")

    commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")


class ExtendBody(CloseBody):
    """How long it is to last from now, in seconds."""

    seconds: float = Field(ge=60, le=30 * 86_400)


@router.get("")
async def list_previews(
    use: Use, component: Key, limit: Annotated[int, Query(ge=1, le=100)] = 50
) -> list[PreviewView]:
    """The newest first."""
    return await use.previews.all(component, limit)


@router.get("/{change}")
async def get_preview(use: Use, component: Key, change: Change) -> PreviewView:
    """One preview."""
    return await use.previews.get(component, change)


@router.get("/{change}/log")
async def read_log(use: Use, component: Key, change: Change, offset: Annotated[int, Query(ge=0)] = 0) -> Response:
    """The log of its last build that has ended, from `offset` (bytes) on, as plain text."""
    state = await use.previews.state(component, change)
    if not state.log:
        raise NotFound("LogNotFound", f"No build of preview {change} has ended yet.")
    piece = await use.logs.read(state.log, offset)
    return Response(
        piece.content,
        media_type="text/plain; charset=utf-8",
        headers={"Towpath-Log-Offset": str(piece.offset)},
    )


@router.post("/{change}/open", status_code=202)
async def open_preview(
    use: Use, named: Named, change: Change, actor: Steerer, request: RequestId, body: OpenBody
) -> Accepted:
    """Show a branch's present head, or show it again."""
    if named.component is None:
        raise Conflict("NothingToBuild", named.problem)
    started = await use.previews.open(named.component, change, body.branch, use.sequence.next(), request, actor)
    return Accepted(
        reason="Opening",
        message=f"{body.branch} is looked at; preview {change} follows.",
        workflow=started.workflow,
        url=use.link(started.workflow),
        duplicate=started.duplicate,
    )


@router.post("/{change}/close", status_code=202)
async def close_preview(
    use: Use, component: Key, change: Change, actor: Steerer, request: RequestId, body: CloseBody
) -> Accepted:
    """End a preview now. The next push does not bring it back."""
    order = PreviewOrder(id=request, kind="close", actor=actor, reason=body.reason)
    return await _give(use, component, change, order)


@router.post("/{change}/extend")
async def extend_preview(
    use: Use, component: Key, change: Change, actor: Steerer, request: RequestId, body: ExtendBody
) -> Accepted:
    """Let a preview last from now on for so long."""
    order = PreviewOrder(id=request, kind="extend", actor=actor, reason=body.reason, seconds=body.seconds)
    return await _give(use, component, change, order)


@router.post("/{change}/allow", status_code=202)
async def allow_commit(
    use: Use, component: Key, change: Change, actor: Steerer, request: RequestId, body: AllowBody
) -> Accepted:
    """Let exactly this commit of somebody who is not trusted be built and shown, without secrets."""
    return await _give(
        use, component, change, PreviewOrder(id=request, kind="allow", actor=actor, commit=body.commit)
    )


@router.post("/{change}/retry", status_code=202)
async def retry_preview(
    use: Use, component: Key, change: Change, actor: Steerer, request: RequestId, body: CloseBody
) -> Accepted:
    """Build and show the present commit again."""
    order = PreviewOrder(id=request, kind="retry", actor=actor, reason=body.reason)
    return await _give(use, component, change, order)


@router.post("/{change}/stop", status_code=202)
async def stop_preview(
    use: Use, component: Key, change: Change, actor: Steerer, request: RequestId, body: CloseBody
) -> Accepted:
    """Stop what is being built or deployed; what runs stays."""
    order = PreviewOrder(id=request, kind="stop", actor=actor, reason=body.reason)
    return await _give(use, component, change, order)


async def _give(use: Use, component: ComponentKey, change: str, order: PreviewOrder) -> Accepted:
    answer = await use.previews.order(component, change, order)
    workflow = ids.preview(component, change)
    return Accepted(
        reason=answer.reason,
        message=answer.message,
        workflow=workflow,
        url=use.link(workflow),
        duplicate=answer.reason == "AlreadyAccepted",
    )
