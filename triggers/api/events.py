"""What senders have announced."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from triggers.api.access import Use, reader
from triggers.views import EventView

router = APIRouter(prefix="/events", dependencies=[Depends(reader)], tags=["events"])

# As `model.repository.normalise` writes it; nothing that could end the text in a query.
Repository = Annotated[str, Query(max_length=2048, pattern=r'^[^"\\\s]*$')]


@router.get("")
async def list_events(
    use: Use, repository: Repository = "", poison: bool = False, limit: Annotated[int, Query(ge=1, le=200)] = 20
) -> list[EventView]:
    """The newest first: of one repository (`git.example.com/team/app`) or of all; with `poison` only the
    deliveries that broke our reading of them."""
    return await use.events.newest(repository, poison, limit)
