"""What people say of a release: bad ones are not brought in any more, anywhere."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path

from model.lane import Order
from model.mark import Mark
from triggers.api.access import Key, RequestId, Steerer, Use, reader
from triggers.api.components import release_named
from triggers.api.lanes import ReasonBody
from triggers.signing import refuse_to_act
from triggers.views import Accepted

router = APIRouter(
    prefix="/components/{namespace}/{name}/releases/{release}", dependencies=[Depends(reader)], tags=["releases"]
)


ReleasePath = Annotated[str, Path(min_length=1, max_length=128)]


class MarkBody(ReasonBody):
    """What it is worth, and why."""

    word: Literal["bad", "good"]


@router.post("/mark")
async def mark(
    use: Use, component: Key, release: ReleasePath, actor: Steerer, request: RequestId, body: MarkBody
) -> Accepted:
    """Mark a release. A bad one is deployed and promoted by nobody, those that wait are refused, and ways back
    pass it over; `good` takes that back. Where it runs it is left running.

    Kept first, told then: should telling the lanes fail, they still ask before they begin, and the same call
    once more tells the rest.
    """
    found = await release_named(use, component, release)
    refuse_to_act()
    word = Mark(word=body.word, reason=body.reason, by=actor.name, at=use.clock())
    await use.marks.put(found, word)
    kind: Literal["mark-bad", "mark-good"] = "mark-bad" if word.bad else "mark-good"
    order = Order(id=request, kind=kind, actor=actor, reason=body.reason, release=found)
    told = await use.lanes.mark(found, order)
    message = " ".join([f"{found.name} is marked {body.word}.", *told])
    return Accepted(reason="MarkedBad" if word.bad else "MarkedGood", message=message)
