"""Gates: why something waits, what would happen, and taking words back or going past windows."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from model.failure import NotFound
from model.key import ComponentKey
from model.release import Release
from triggers.api.access import Environment, Key, RequestId, Steerer, Use, reader
from triggers.api.components import release_named
from triggers.api.promotions import DecisionBody, decide
from triggers.views import Accepted, DryRun, Explanation

router = APIRouter(prefix="/components/{namespace}/{name}", dependencies=[Depends(reader)], tags=["gates"])

Wanted = Annotated[str, Query(max_length=128)]
Until = Annotated[str, Query(max_length=63)]


@router.get("/lanes/{environment}/explain")
async def explain(use: Use, component: Key, environment: Environment, release: Wanted = "") -> Explanation:
    """The rules before an environment, where each comes from, and what is missing until when."""
    newest = await release_named(use, component, release) if release else await _newest(use, component)
    return await use.gates.explain(component, environment, newest)


@router.get("/dry-run")
async def dry_run(use: Use, component: Key, release: Wanted = "", until: Until = "") -> DryRun:
    """What would happen to a release now (the newest without `release`); nothing is started."""
    found = await release_named(use, component, release) if release else await _newest(use, component)
    if found is None:
        raise NotFound("ReleaseNotFound", f"{component} has no release yet; push to its branch first.")
    return await use.gates.dry_run(found, until)


@router.post("/revoke")
async def revoke(use: Use, component: Key, actor: Steerer, request: RequestId, body: DecisionBody) -> Accepted:
    """Take one's own answer back, as long as nothing has been applied."""
    return await decide(use, component, actor, request, body, kind="revoke")


@router.post("/override")
async def override(use: Use, component: Key, actor: Steerer, request: RequestId, body: DecisionBody) -> Accepted:
    """Go past the windows and freezes of an environment, for one release, with a reason that is kept."""
    return await decide(use, component, actor, request, body, kind="override")


async def _newest(use: Use, component: ComponentKey) -> Release | None:
    found = sorted(await use.releases.releases(component), key=lambda each: each.sequence)
    return found[-1] if found else None
