"""Freezes: nothing goes in for a while."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from model import policy_check
from model.failure import Conflict, UserFailure
from model.names import short_hash
from model.resources.freeze import Freeze, manifest
from model.resources.gates import MOMENT
from triggers.api.access import DNS_NAME, RequestId, Steerer, Use, reader
from triggers.signing import refuse_to_act
from triggers.views import Accepted, FreezeView

router = APIRouter(prefix="/namespaces/{namespace}/freezes", dependencies=[Depends(reader)], tags=["freezes"])

Namespace = Annotated[str, Path(pattern=DNS_NAME, max_length=63)]
FreezeName = Annotated[str, Path(pattern=DNS_NAME, max_length=253)]
Selected = Annotated[str, Field(max_length=63)]


class FreezeBody(BaseModel):
    """From when until when (dates are their midnights by `time_zone`), and for which steps; empty: for all."""

    model_config = ConfigDict(extra="forbid")

    begins: str = Field(pattern=MOMENT, max_length=25)
    ends: str = Field(pattern=MOMENT, max_length=25)
    time_zone: str = Field(default="UTC", max_length=64)
    reason: str = Field(default="", max_length=500)
    environment: Selected = ""
    project: Selected = ""
    component: Selected = ""


@router.get("")
async def list_freezes(use: Use, namespace: Namespace) -> list[FreezeView]:
    """All of a namespace, those that are over as well."""
    return [_view(freeze) for freeze in await use.freezes.all(namespace)]


@router.post("", status_code=201)
async def freeze(use: Use, namespace: Namespace, actor: Steerer, request: RequestId, body: FreezeBody) -> Accepted:
    """Hold gates shut. Whoever wanted it is kept with it."""
    refuse_to_act()
    selector = {"environment": body.environment, "project": body.project, "component": body.component}
    spec = {
        "selector": {field: name for field, name in selector.items() if name},
        "from": body.begins,
        "until": body.ends,
        "timeZone": body.time_zone,
        "reason": body.reason,
        "by": actor.name,
    }
    name = f"freeze-{body.environment or 'all'}-{short_hash(namespace, request)}"
    for fault in policy_check.faults(manifest(name, namespace, spec)):
        raise UserFailure(fault.reason, fault.message)
    message = f"Nothing goes in from {body.begins} until {body.ends} ({body.time_zone}); towpath unfreeze {name}"
    try:
        await use.freezes.make(namespace, name, spec)
    except Conflict:
        # Its name is made of the request's id: it was asked for before.
        return Accepted(reason="Frozen", message=message, duplicate=True)
    return Accepted(reason="Frozen", message=message)


@router.delete("/{name}")
async def unfreeze(use: Use, namespace: Namespace, name: FreezeName, actor: Steerer) -> Accepted:
    """Let the gates go that a freeze holds."""
    refuse_to_act()
    await use.freezes.lift(namespace, name)
    return Accepted(reason="Lifted", message=f"{name} is lifted by {actor.name}.")


def _view(freeze: Freeze) -> FreezeView:
    spec, selector = freeze.spec, freeze.spec.selector
    return FreezeView(
        namespace=freeze.metadata.namespace,
        name=freeze.metadata.name,
        begins=spec.start,
        ends=spec.until,
        time_zone=spec.time_zone or "UTC",
        reason=spec.reason or "",
        by=spec.by or "",
        environment=selector.environment or "",
        project=selector.project or "",
        component=selector.component or "",
    )
