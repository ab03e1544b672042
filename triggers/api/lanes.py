"""Lanes: what runs where with its history, and people's orders."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from model.key import ComponentKey
from model.lane import Order
from model.steer import Steer
from triggers.api.access import Environment, Key, RequestId, Steerer, Use, reader
from triggers.api.components import release_named, require_unmarked
from triggers.views import Accepted, LaneView

router = APIRouter(
    prefix="/components/{namespace}/{name}/lanes/{environment}", dependencies=[Depends(reader)], tags=["lanes"]
)


class ReasonBody(BaseModel):
    """Why a person wants it; kept in the lane's history."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class RollbackBody(ReasonBody):
    """Where to go back to; 0 is the last good revision before the present one."""

    revision: int = Field(default=0, ge=0)


class DeployBody(ReasonBody):
    """The release to run here now: its name, digest, or commit; `allow_older` than the last good one."""

    release: str = Field(min_length=1, max_length=128)
    allow_older: bool = False


@router.get("")
async def get_lane(use: Use, component: Key, environment: Environment) -> LaneView:
    """What runs, what waits, and the history, oldest revision first."""
    return await use.lanes.get(component, environment)


@router.post("/deploy", status_code=202)
async def deploy(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: DeployBody
) -> Accepted:
    """Run a release here without walking the pipeline. Refused where a gate asks for approval."""
    release = await release_named(use, component, body.release)
    await require_unmarked(use, release)
    order = Order(
        id=request,
        kind="deploy",
        actor=actor,
        reason=body.reason,
        release=release,
        allow_older=body.allow_older,
    )
    return await give(use, component, environment, order)


@router.post("/rollback", status_code=202)
async def rollback(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: RollbackBody
) -> Accepted:
    """Go back to an earlier revision. The lane is held afterwards, so that automation leaves it there."""
    order = Order(id=request, kind="rollback", actor=actor, reason=body.reason, revision=body.revision)
    return await give(use, component, environment, order)


@router.post("/hold")
async def hold(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Stop automation here."""
    return await give(use, component, environment, Order(id=request, kind="hold", actor=actor, reason=body.reason))


@router.post("/resume")
async def resume(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Let automation go on."""
    return await give(
        use, component, environment, Order(id=request, kind="resume", actor=actor, reason=body.reason)
    )


@router.post("/proceed", status_code=202)
async def proceed(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Let the release that waits at a stop of its canary or blue-green deployment go on."""
    return await _steer(
        use, component, environment, Steer(id=request, kind="proceed", actor=actor, reason=body.reason)
    )


@router.post("/abort", status_code=202)
async def abort(
    use: Use, component: Key, environment: Environment, actor: Steerer, request: RequestId, body: ReasonBody
) -> Accepted:
    """Take the release that is on its way back; what ran before takes all the traffic."""
    return await _steer(
        use, component, environment, Steer(id=request, kind="abort", actor=actor, reason=body.reason)
    )


async def _steer(use: Use, component: ComponentKey, environment: str, steer: Steer) -> Accepted:
    answer, workflow = await use.lanes.steer(component, environment, steer)
    return Accepted(
        reason=answer.reason,
        message=answer.message,
        workflow=workflow,
        url=use.link(workflow),
        duplicate=answer.reason == "AlreadyAccepted",
    )


async def give(use: Use, component: ComponentKey, environment: str, order: Order) -> Accepted:
    """Give a lane an order, and tell what it says."""
    answer = await use.lanes.order(component, environment, order)
    workflow = use.lanes.workflow(component, environment)
    return Accepted(
        reason=answer.reason,
        message=answer.message,
        workflow=workflow,
        url=use.link(workflow),
        duplicate=answer.reason == "AlreadyAccepted",
        revision=answer.revision,
    )
