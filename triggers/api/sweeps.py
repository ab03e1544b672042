"""Sweeps: look at a repository now for what its webhooks have missed."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from model.repository import ADDRESS_LIMIT
from triggers.api.access import RequestId, RequestName, Steerer, Use, reader
from triggers.signing import refuse_to_act
from triggers.views import Accepted, SweepView

router = APIRouter(prefix="/sweeps", dependencies=[Depends(reader)], tags=["repositories"])


class SweepBody(BaseModel):
    """The repository's address, written in whichever way."""

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(min_length=1, max_length=ADDRESS_LIMIT)


@router.post("", status_code=202)
async def sweep(use: Use, actor: Steerer, request: RequestId, body: SweepBody) -> Accepted:
    """Look at it now; what nobody has announced is started."""
    refuse_to_act()
    started = await use.sweeps.ask(body.repository, actor, request)
    return Accepted(
        reason="Sweeping",
        message="The repository is looked at; what nobody has announced is started.",
        workflow=started.workflow,
        url=use.link(started.workflow),
        duplicate=started.duplicate,
    )


@router.get("/{request}")
async def state(
    use: Use, request: RequestName, repository: Annotated[str, Query(min_length=1, max_length=ADDRESS_LIMIT)]
) -> SweepView:
    """How far a sweep is, and what it has found."""
    return await use.sweeps.state(repository, request)
