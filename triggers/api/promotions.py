"""Promotions: what is on its way, sending a release on its way, and people's answers at gates."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from model.actor import Actor
from model.failure import Conflict, NotFound
from model.gate import Approval
from model.image import is_digest
from model.key import ComponentKey
from triggers.api.access import DNS_NAME, Key, RequestId, Steerer, Use, reader
from triggers.api.components import release_named, require_unmarked
from triggers.views import Accepted, PromotionView, WaitingRelease

router = APIRouter(prefix="/components/{namespace}/{name}", dependencies=[Depends(reader)], tags=["promotions"])

EnvironmentName = Annotated[str, Field(pattern=DNS_NAME, max_length=63)]


class PromoteBody(BaseModel):
    """Which release goes where: `release` empty is the newest that nobody marked bad, `until` empty the
    pipeline's end. `pinned`, it is not superseded by newer ones; `allow_older` than what is good there."""

    model_config = ConfigDict(extra="forbid")

    release: str = Field(default="", max_length=128)
    until: str = Field(default="", max_length=63)
    pinned: bool = False
    allow_older: bool = False


class DecisionBody(BaseModel):
    """An answer at a gate. Without `release` and `digest` it is for the one release that waits there."""

    model_config = ConfigDict(extra="forbid")

    environment: EnvironmentName
    release: str = Field(default="", max_length=128)
    digest: str = Field(default="", max_length=80)
    reason: str = Field(default="", max_length=500)


@router.get("/promotions")
async def list_promotions(
    use: Use, component: Key, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> list[PromotionView]:
    """The newest promotions first."""
    return await use.promotions.newest(component, limit)


@router.get("/promotions/{release}")
async def get_promotion(use: Use, component: Key, release: str) -> PromotionView:
    """The walk of one release."""
    return await use.promotions.of_release(component, release)


@router.post("/promotions", status_code=202)
async def promote(use: Use, component: Key, actor: Steerer, request: RequestId, body: PromoteBody) -> Accepted:
    """Send a release on its way through the pipeline, gates included."""
    if body.release:
        release = await release_named(use, component, body.release)
        await require_unmarked(use, release)
    else:
        marks = await use.marks.all(component)
        bad = {name for name, mark in marks.items() if mark.bad}
        kept = [each for each in await use.releases.releases(component) if each.name not in bad]
        newest = sorted(kept, key=lambda each: each.sequence)
        if not newest:
            why = "no release that is not marked bad" if bad else "no release yet"
            raise NotFound("ReleaseNotFound", f"{component} has {why}; push to its branch first.")
        release = newest[-1]
    return await use.promotions.start(release, body.until, request, actor, body.pinned, body.allow_older)


@router.post("/approve")
async def approve(use: Use, component: Key, actor: Steerer, request: RequestId, body: DecisionBody) -> Accepted:
    """Say yes to the release that waits at an environment's gate."""
    return await decide(use, component, actor, request, body)


@router.post("/reject")
async def reject(use: Use, component: Key, actor: Steerer, request: RequestId, body: DecisionBody) -> Accepted:
    """Say no to the release that waits at an environment's gate."""
    return await decide(use, component, actor, request, body, kind="reject")


async def decide(
    use: Use,
    component: ComponentKey,
    actor: Actor,
    request: str,
    body: DecisionBody,
    kind: Literal["approve", "reject", "revoke", "override"] = "approve",
) -> Accepted:
    """Hand a person's word to the gate.

    Raises:
        NotFound: nothing was ever sent there.
        Conflict: nothing waits there, or the gate refuses the word, with its reason.
    """
    lane = await use.lanes.get(component, body.environment)
    waiting = chosen(lane.at_gate, component, body)
    approval = Approval(
        id=request,
        environment=body.environment,
        digest=body.digest or waiting.digest,
        actor=actor,
        approve=kind != "reject",
        kind=kind if kind in ("revoke", "override") else "answer",
        reason=body.reason,
        at=use.clock(),
    )
    answer = await use.promotions.decide(waiting.promotion, approval)
    if not answer.accepted:
        raise Conflict(answer.reason, answer.message)
    return Accepted(
        reason=answer.reason,
        message=f"{waiting.release} -> {body.environment}: {answer.message}",
        workflow=waiting.promotion,
        url=use.link(waiting.promotion),
    )


def chosen(at_gate: tuple[WaitingRelease, ...], component: ComponentKey, body: DecisionBody) -> WaitingRelease:
    """The waiting release that an answer is for.

    Raises:
        Conflict: `NothingWaits`, `NotWaiting` or `SeveralWait`, naming those that do.
    """
    environment = body.environment
    if body.digest and not is_digest(body.digest):
        raise Conflict("DigestMismatch", "A digest is sha256: and 64 hex digits.")
    if not at_gate:
        raise Conflict("NothingWaits", f"Nothing of {component} waits at the gate of {environment}.")
    names = ", ".join(waiting.release for waiting in at_gate)
    matching = [
        waiting
        for waiting in at_gate
        if body.release in ("", waiting.release) and body.digest in ("", waiting.digest)
    ]
    if not matching:
        wanted = body.release or body.digest[:19]
        raise Conflict("NotWaiting", f"{wanted} does not wait at the gate of {environment}; {names} does.")
    if len(matching) > 1:
        raise Conflict("SeveralWait", f"Several wait at {environment}; name one with --release: {names}.")
    return matching[0]
