"""Repositories and their webhooks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from model.registration import GRACE_LIMIT_SECONDS, GRACE_SECONDS, Registered, Rotated
from triggers.api.access import DNS_NAME, RequestId, RequestName, Steerer, Use, reader
from triggers.signing import refuse_to_act
from triggers.views import Accepted, RepositoryView

router = APIRouter(prefix="/repositories", dependencies=[Depends(reader)], tags=["repositories"])

Namespace = Annotated[str, Path(pattern=DNS_NAME, max_length=63)]
Name = Annotated[str, Path(pattern=DNS_NAME, max_length=253)]
Wanted = Annotated[str, Query(max_length=63)]
Reached = Annotated[str, Field(max_length=2048, pattern=r"^(https?://[A-Za-z0-9\[][^\s@?#]*)?$")]


class HookBody(BaseModel):
    """`address` is this server's as the provider reaches it; empty: as the operator has said."""

    model_config = ConfigDict(extra="forbid")

    address: Reached = ""


class RotationBody(HookBody):
    """`grace_seconds` is how long the old secret counts after the change."""

    grace_seconds: float = Field(default=GRACE_SECONDS, ge=0, le=GRACE_LIMIT_SECONDS)


@router.get("")
async def list_repositories(use: Use, namespace: Wanted = "") -> list[RepositoryView]:
    """The declared ones."""
    return use.registrations.all(namespace)


@router.get("/{namespace}/{name}")
async def show(use: Use, namespace: Namespace, name: Name) -> RepositoryView:
    """One of them, and what was announced last."""
    view = use.registrations.one(namespace, name)
    newest = await use.events.newest(view.repository, poison=False, limit=1) if view.repository else []
    return view.model_copy(update={"last": newest[0] if newest else None})


@router.post("/{namespace}/{name}/register")
async def register(
    use: Use, namespace: Namespace, name: Name, actor: Steerer, request: RequestId, body: HookBody
) -> Registered:
    """Make the webhook at the provider, or put right the one that is there."""
    refuse_to_act()
    return await use.registrations.act("register", namespace, name, body.address, actor, request)


@router.post("/{namespace}/{name}/unregister")
async def unregister(
    use: Use, namespace: Namespace, name: Name, actor: Steerer, request: RequestId, body: HookBody
) -> Registered:
    """Take the webhook away."""
    refuse_to_act()
    return await use.registrations.act("unregister", namespace, name, body.address, actor, request)


@router.post("/{namespace}/{name}/check")
async def check(
    use: Use, namespace: Namespace, name: Name, actor: Steerer, request: RequestId, body: HookBody
) -> Registered:
    """What is wrong with the webhook, by the provider's own word."""
    refuse_to_act()
    return await use.registrations.act("check", namespace, name, body.address, actor, request)


@router.post("/{namespace}/{name}/rotate", status_code=202)
async def rotate(
    use: Use, namespace: Namespace, name: Name, actor: Steerer, request: RequestId, body: RotationBody
) -> Accepted:
    """Replace the webhook's secret, without a moment in which deliveries are refused."""
    refuse_to_act()
    return await use.registrations.rotate(namespace, name, body.address, actor, request, body.grace_seconds)


@router.get("/{namespace}/{name}/rotations/{request}")
async def rotation(use: Use, namespace: Namespace, name: Name, request: RequestName) -> Rotated:
    """How far a rotation is."""
    return await use.registrations.rotation(namespace, name, request)
