"""Components: list, look, trigger, releases."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from model import ids
from model.failure import Conflict, Failure, NotFound, UserFailure
from model.key import ComponentKey
from model.mark import bad_message
from model.push import Push
from model.release import Release
from model.repository import check_ref
from triggers.api.access import Key, Named, RequestId, RequestName, Steerer, Use, reader
from triggers.components import component_view
from triggers.problem import Problem
from triggers.progress import paused, progress, progress_of_commit
from triggers.views import Accepted, BuildView, ComponentDetail, ComponentView, DeliveryView, ReleaseView
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


class Wanted(BaseModel):
    """What is to be built: the head of a branch (the component's own unless said), a tag, or a commit that the
    branch or tag holds."""

    branch: Annotated[str, Field(max_length=244)] = ""
    tag: Annotated[str, Field(max_length=244)] = ""
    commit: Annotated[str, Field(pattern=r"^([0-9a-f]{40}([0-9a-f]{24})?)?$")] = ""

    def ref(self, otherwise: str) -> str:
        """The full name of the ref. Raises Problem 400."""
        if self.branch and self.tag:
            raise Problem(400, "BadRef", "Name a branch or a tag, not both.")
        if not (self.branch or self.tag):
            return otherwise
        try:
            return check_ref(f"refs/tags/{self.tag}" if self.tag else f"refs/heads/{self.branch}")
        except UserFailure as failure:
            raise Problem(400, failure.reason, failure.message) from None


@router.post("/components/{namespace}/{name}/trigger", status_code=202)
async def trigger(
    use: Use, named: Named, actor: Steerer, request: RequestId, wanted: Wanted | None = None
) -> Accepted:
    """Build a component, whether that commit was built before or not, and whatever its message says. One that
    nothing is built for has its image looked up anew.

    The same Idempotency-Key is the same trigger, for as long as Temporal keeps its run: it starts nothing a second
    time, and is refused with 409 where it asks for something else.
    """
    made = named.component
    if made is None or (made.source is None and made.build.kind != "image"):
        why = named.problem or f"{named.key} names no repository."
        raise Conflict("NothingToBuild", why)
    asked = wanted or Wanted()
    if made.source is None and asked != Wanted():
        raise Conflict("NothingToBuild", f"{named.key} runs an image: it has no branches, tags or commits.")
    head = applied_push(named, use.sequence.next())
    push = head.model_copy(
        update={
            "cause": "trigger",
            "provider": "towpath",
            "delivery": request,
            "actor": actor,
            "ref": asked.ref(head.ref),
            "after": asked.commit,
        }
    )
    started = await use.starter.start(push, ids.triggered(named.key, request))
    if started.duplicate:
        await _require_same(use, named.key, request, push)
    what = asked.commit[:12] or asked.tag or asked.branch or (made.source.branch if made.source else "")
    return Accepted(
        reason="Triggered",
        message=f"{what} of {push.repository} is looked at." if made.source else "The image is looked up anew.",
        workflow=started.workflow,
        url=use.link(started.workflow),
        duplicate=started.duplicate,
    )


@router.get("/components/{namespace}/{name}/triggers/{request}")
async def get_trigger(use: Use, component: Key, request: RequestName) -> DeliveryView:
    """What a trigger has come to; `request` is its Idempotency-Key."""
    return await use.deliveries.triggered(component, request)


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


async def _require_same(use: Use, component: ComponentKey, request: str, push: Push) -> None:
    """See to it that a key which is known has asked for the same.

    Raises:
        Conflict: `IdempotencyKeyReused`.
    """
    try:
        before = await use.deliveries.triggered(component, request)
    except Failure:
        # Nobody can say what it was while no worker answers; that it is known is said all the same.
        return
    if (before.ref, before.asked) != (push.ref, push.after):
        what = f"{before.ref} {before.asked}".strip()
        raise Conflict("IdempotencyKeyReused", f"This Idempotency-Key has triggered {what}; take another one.")


def _unbuildable(view: ComponentView, builds: list[BuildView]) -> str:
    """Why a component has never got as far as a build, where its status says so."""
    return view.message if view.ready is False and not builds else ""


def _is_name(text: str) -> bool:
    return ":" not in text and text == text.lower()
