"""Revisions of a lane: what differs between two, taking back the last change, accepting what nobody can tell."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from model.difference import Difference, difference
from model.failure import Conflict
from model.lane import Order
from triggers.api.access import DNS_NAME, Environment, Key, RequestId, Steerer, Use, reader
from triggers.api.components import release_named
from triggers.api.lanes import ReasonBody, give
from triggers.views import Accepted

router = APIRouter(
    prefix="/components/{namespace}/{name}/lanes/{environment}", dependencies=[Depends(reader)], tags=["lanes"]
)

Number = Annotated[int, Query(ge=0, le=1_000_000_000)]


class PinBody(ReasonBody):
    """Which of those that wait: a release's name, digest or commit; empty for all."""

    release: str = Field(default="", max_length=128)


@router.get("/diff")
async def diff(
    use: Use,
    component: Key,
    environment: Environment,
    revision: Number = 0,
    to: Number = 0,
    other: Annotated[str, Query(alias="with", pattern=DNS_NAME, max_length=63)] = "",
) -> Difference:
    """What differs: image, settings, manifests.

    From `revision` (0: the one that a rollback goes back to) to the revision `to` (0: what runs); or, `with`
    another environment, from what runs here to what runs there.
    """
    if other:
        if revision or to:
            raise Conflict("TwoQuestions", "Compare two revisions, or two environments, not both at once.")
        return difference(await use.lanes.ran(component, environment), await use.lanes.ran(component, other))
    after = await use.lanes.ran(component, environment, to)
    revision = revision or await use.lanes.before(component, environment)
    if not revision:
        raise Conflict("NothingToCompare", f"Nothing good ran before in {environment}; name a --revision.")
    return difference(await use.lanes.ran(component, environment, revision), after)


@router.post("/undo", status_code=202)
async def undo(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Take back the last change: what ran before it runs again. The lane is held afterwards."""
    order = Order(id=request, kind="undo", actor=actor, reason=body.reason)
    return await give(use, component, environment, order)


@router.post("/accept")
async def accept(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Take what runs inconclusively as healthy; the promotion that waits for it goes on."""
    order = Order(id=request, kind="accept", actor=actor, reason=body.reason)
    return await give(use, component, environment, order)


@router.post("/pin")
async def pin(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: PinBody
) -> Accepted:
    """Keep a waiting release in the queue, to be deployed in its turn when newer ones come."""
    release = await release_named(use, component, body.release) if body.release else None
    order = Order(id=request, kind="pin", actor=actor, reason=body.reason, release=release)
    return await give(use, component, environment, order)


@router.post("/unpin")
async def unpin(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: PinBody
) -> Accepted:
    """Let newer releases supersede it again."""
    release = await release_named(use, component, body.release) if body.release else None
    order = Order(id=request, kind="unpin", actor=actor, reason=body.reason, release=release)
    return await give(use, component, environment, order)
