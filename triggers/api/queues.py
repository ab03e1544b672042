"""Queues: who builds on a plane, and who waits."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from model.build_queue import QueueView
from triggers.api.access import DNS_NAME, Use, reader

router = APIRouter(prefix="/queues", dependencies=[Depends(reader)], tags=["queues"])


@router.get("/{plane}")
async def get_queue(use: Use, plane: Annotated[str, Path(pattern=DNS_NAME, max_length=253)]) -> QueueView:
    """The builds with a slot of a build plane, and those that wait for one in the order of their turns."""
    return await use.queues.get(plane)
