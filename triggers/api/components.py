"""Components: list, look, trigger, releases."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from model import ids
from model.failure import Conflict, NotFound
from model.key import ComponentKey
from model.mark import bad_message
from model.release import Release
from triggers.api.access import Key, Named, RequestId, Steerer, Use, reader
from triggers.components import component_view
from triggers.progress import paused, progress, progress_of_commit
from triggers.views import Accepted, BuildView, ComponentDetail, ComponentView, ReleaseView
from triggers.watch import applied_push

LOOKED_AT = 10

router = APIRouter(dependencies=[Depends(reader)], tags=["components"])


@router.get("/components")
async def list_components(use: Use, namespace: Annotated[str, Query(max_length=63)] = "") -> list[ComponentView]:
    """All components (of a namespace) with their status."""
    return [
        component_view(entry, use.declared.environments(entry.key.namespace))
        for entry in use.declared.components()
        if namespace in ("", entry.key.namespace)
    ]


@router.get("/components/{namespace}/{name}")
async def get_component(
    use: Use, named: Named, commit: Annotated[str, Query(pattern=r"^([0-9a-f]{4,64})?$")] = ""
) -> ComponentDetail:
    """One component with its newest builds and promotions, and how far the newest change is.

    With `commit` (a prefix will do) the progress is that commit's: `moving` until its build is there.
    """
    builds, promotions = await asyncio.gather(
        use.builds.newest(named.key, LOOKED_AT), use.promotions.newest(named.key, LOOKED_AT)
    )
    view = component_view(named, use.declared.environments(named.key.namespace))
    if commit:
        own = [build for build in builds if build.commit.startswith(commit)]
        its = [promotion for promotion in promotions if promotion.release.commit.id.startswith(commit)]
        far = progress_of_commit(named.key, commit, own, its)
    else:
        far = progress(named.key, named.problem or _unbuildable(view, builds), builds, promotions)
    far = paused(named.key, far, view.environments)
    return ComponentDetail(
        **dict(view),
        progress=far,
        builds=tuple(builds),
        promotions=tuple(promotions),
    )


@router.post("/components/{namespace}/{name}/trigger", status_code=202)
async def trigger(use: Use, named: Named, actor: Steerer, request: RequestId) -> Accepted:
    """Build the present head of the component's branch, whether it was built before or not."""
    if named.component is None or named.component.source is None:
        why = named.problem or f"{named.key} names no repository."
        raise Conflict("NothingToBuild", why)
    push = applied_push(named, use.sequence.next()).model_copy(
        update={"cause": "trigger", "provider": "towpath", "delivery": request, "actor": actor}
    )
    started = await use.starter.start(push, ids.triggered(named.key, request))
    return Accepted(
        reason="Triggered",
        message=f"{named.component.source.branch} of {push.repository} is looked at.",
        workflow=started.workflow,
        url=use.link(started.workflow),
        duplicate=started.duplicate,
    )


@router.get("/components/{namespace}/{name}/releases")
async def list_releases(use: Use, component: Key) -> list[ReleaseView]:
    """All releases that are kept, newest first, with what people have said of them."""
    found, marks = await asyncio.gather(use.releases.releases(component), use.marks.all(component))
    newest = sorted(found, key=lambda release: release.sequence, reverse=True)
    return [ReleaseView(**dict(release), mark=marks.get(release.name)) for release in newest]


async def release_named(use: Use, component: ComponentKey, name: str) -> Release:
    """A release by its name, by its digest, or by its commit when that names one release only.

    Raises:
        Conflict: `ReleaseAmbiguous`.
        NotFound: `ReleaseNotFound`.
    """
    exact = await use.releases.release(component, name) if _is_name(name) else None
    if exact is not None:
        return exact
    short = len(name) >= 7
    matching = [
        release
        for release in await use.releases.releases(component)
        if name == release.digest or (short and release.commit.id.startswith(name.lower()))
    ]
    if len(matching) > 1:
        names = ", ".join(release.name for release in matching)
        raise Conflict("ReleaseAmbiguous", f"{name} fits several releases: {names}.")
    if not matching:
        raise NotFound("ReleaseNotFound", f"{component} has no release {name}; `towpath releases {component}`.")
    return matching[0]


async def require_unmarked(use: Use, release: Release) -> None:
    """See to it that nobody has marked a release bad.

    Raises:
        Conflict: `ReleaseMarkedBad`.
    """
    mark = await use.marks.of(release)
    if mark is not None and mark.bad:
        raise Conflict("ReleaseMarkedBad", bad_message(release.name, mark.reason, mark.by))


def _unbuildable(view: ComponentView, builds: list[BuildView]) -> str:
    """Why a component has never got as far as a build, where its status says so."""
    return view.message if view.ready is False and not builds else ""


def _is_name(text: str) -> bool:
    return ":" not in text and text == text.lower()
