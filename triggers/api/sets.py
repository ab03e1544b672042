"""Release sets: several components' releases that go in together, and go back together."""

import asyncio
import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from model.failure import Conflict, NotFound
from model.gate import Approval
from model.key import ComponentKey
from model.ordering import as_told, by_dependencies
from model.release import Release
from model.release_set import MEMBERS_LIMIT, ReleaseSetRequest, SetOrder
from triggers.api.access import DNS_NAME, RequestId, Steerer, Use, reader
from triggers.api.components import release_named
from triggers.setviews import SetView
from triggers.views import Accepted

router = APIRouter(prefix="/projects/{namespace}/{project}/sets", dependencies=[Depends(reader)], tags=["sets"])

SET_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Namespace = Annotated[str, Path(pattern=DNS_NAME, max_length=63)]
Project = Annotated[str, Path(pattern=DNS_NAME, max_length=63)]
SetName = Annotated[str, Path(pattern=SET_NAME, max_length=40)]
EnvironmentName = Annotated[str, Field(pattern=DNS_NAME, max_length=63)]
ComponentName = Annotated[str, Field(pattern=DNS_NAME, max_length=63)]


class PromoteSetBody(BaseModel):
    """Which releases go in together, by component; an empty one is the newest, none at all is all newest ones.

    `order` names every component once and wins over their dependencies. Without `name` the set gets one.
    """

    model_config = ConfigDict(extra="forbid")

    until: EnvironmentName
    releases: dict[ComponentName, Annotated[str, Field(max_length=128)]] = Field(
        default={}, max_length=MEMBERS_LIMIT
    )
    order: list[ComponentName] = Field(default=[], max_length=MEMBERS_LIMIT)
    name: str = Field(default="", max_length=40, pattern=rf"{SET_NAME}|^$")
    reason: str = Field(default="", max_length=500)
    allow_older: bool = False


class SetDecisionBody(BaseModel):
    """An answer at the gate of a set. `digest`: only if the set is this one."""

    model_config = ConfigDict(extra="forbid")

    environment: EnvironmentName
    digest: str = Field(default="", max_length=80)
    reason: str = Field(default="", max_length=500)


class SetCancelBody(BaseModel):
    """Why the set is cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class SetRollbackBody(BaseModel):
    """In which environment a finished set goes back, and why."""

    model_config = ConfigDict(extra="forbid")

    environment: EnvironmentName
    reason: str = Field(default="", max_length=500)


@router.get("")
async def list_sets(
    use: Use, namespace: Namespace, project: Project, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[SetView]:
    """The project's newest sets first."""
    return await use.sets.newest(namespace, project, limit)


@router.get("/{name}")
async def get_set(use: Use, namespace: Namespace, project: Project, name: SetName) -> SetView:
    """One set: every environment, every component, and its ways back."""
    return await use.sets.get(namespace, project, name)


@router.post("", status_code=202)
async def promote_set(
    use: Use, namespace: Namespace, project: Project, actor: Steerer, request: RequestId, body: PromoteSetBody
) -> Accepted:
    """Send several components' releases on their way together, gates included."""
    releases = await _releases(use, namespace, project, body)
    names = [release.component.name for release in releases]
    # Refused here, where a person reads it, rather than in a workflow.
    _ = as_told(names, body.order) if body.order else by_dependencies(releases)
    name = body.name or f"s-{hashlib.sha256(request.encode()).hexdigest()[:8]}"
    wanted = ReleaseSetRequest(
        name=name,
        namespace=namespace,
        project=project,
        releases=releases,
        order=tuple(body.order),
        until=body.until,
        actor=actor,
        reason=body.reason,
        allow_older=body.allow_older,
    )
    return await use.sets.start(wanted, request)


@router.post("/{name}/approve")
async def approve_set(
    use: Use,
    namespace: Namespace,
    project: Project,
    name: SetName,
    actor: Steerer,
    request: RequestId,
    body: SetDecisionBody,
) -> Accepted:
    """Say yes to a set that waits at an environment's gate: to all of it."""
    approval = Approval(
        id=request,
        environment=body.environment,
        digest=body.digest,
        actor=actor,
        reason=body.reason,
        at=use.clock(),
    )
    return await use.sets.decide(namespace, project, name, approval, "approve")


@router.post("/{name}/reject")
async def reject_set(
    use: Use,
    namespace: Namespace,
    project: Project,
    name: SetName,
    actor: Steerer,
    request: RequestId,
    body: SetDecisionBody,
) -> Accepted:
    """Say no to a set that waits at an environment's gate."""
    approval = Approval(
        id=request,
        environment=body.environment,
        digest=body.digest,
        actor=actor,
        reason=body.reason,
        at=use.clock(),
    )
    return await use.sets.decide(namespace, project, name, approval, "reject")


@router.post("/{name}/cancel")
async def cancel_set(
    use: Use,
    namespace: Namespace,
    project: Project,
    name: SetName,
    actor: Steerer,
    request: RequestId,
    body: SetCancelBody,
) -> Accepted:
    """Stop a set; what it has changed in the environment under way goes back."""
    return await use.sets.cancel(namespace, project, name, SetOrder(id=request, actor=actor, reason=body.reason))


@router.post("/{name}/rollback", status_code=202)
async def roll_back_set(
    use: Use,
    namespace: Namespace,
    project: Project,
    name: SetName,
    actor: Steerer,
    request: RequestId,
    body: SetRollbackBody,
) -> Accepted:
    """Take back what a finished set changed in one environment, in reverse order."""
    return await use.sets.roll_back(namespace, project, name, body.environment, actor, body.reason, request)


async def _releases(use: Use, namespace: str, project: str, body: PromoteSetBody) -> tuple[Release, ...]:
    if body.releases:
        keys = {ComponentKey(namespace=namespace, name=name): wanted for name, wanted in body.releases.items()}
    else:
        keys = {
            each.key: ""
            for each in use.declared.components()
            if each.key.namespace == namespace and each.component is not None and each.component.project == project
        }
    found = await asyncio.gather(*(_release(use, key, wanted) for key, wanted in sorted(keys.items(), key=str)))
    # Unless it was named, a component that was never built goes in with a later set.
    releases = tuple(release for release in found if release is not None)
    others = [str(release.component) for release in releases if release.project != project]
    if others:
        raise Conflict("OtherProject", f"{', '.join(others)} is not of project {project}; a set is one project's.")
    missing = [str(key) for key, release in zip(sorted(keys, key=str), found, strict=True) if release is None]
    if body.releases and missing:
        raise NotFound("ReleaseNotFound", f"{', '.join(missing)} has no release yet; push to its branch first.")
    if not releases:
        raise NotFound("ReleaseNotFound", f"No component of project {project} has a release yet.")
    if len(releases) > MEMBERS_LIMIT:
        raise Conflict("SetTooLarge", f"A set takes {MEMBERS_LIMIT} components at most; name those that go in.")
    return releases


async def _release(use: Use, key: ComponentKey, wanted: str) -> Release | None:
    if wanted:
        return await release_named(use, key, wanted)
    return max(await use.releases.releases(key), key=lambda each: each.sequence, default=None)
