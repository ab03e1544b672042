"""Components as they are declared now, with what other objects add to them."""

import asyncio
from typing import Any, NamedTuple

import structlog

from activities import events
from activities.apiserver import ApiServer
from model import declared, stated_filters, stated_statuses
from model.component import Component
from model.failure import Failure, UserFailure
from model.filters import Filters, merged
from model.key import ComponentKey
from model.repository import normalise
from model.resources.builder import BuilderSpec, ClusterWorkflow, Workflow
from model.resources.declared import read
from model.resources.limits import BuildLimits
from model.resources.repository import Repository
from model.told import Told

CHOREO = "choreo.dev/v1"
OPENCHOREO = "openchoreo.dev/v1alpha1"
TOWPATH = "towpath.dev/v1alpha1"

log = structlog.get_logger(__name__)


class _Around(NamedTuple):
    """What stands beside components: Workloads by their component, credentials, limits, filters and whom to tell
    by repository, build planes."""

    workloads: dict[ComponentKey, dict[str, Any]]
    credentials: dict[tuple[str, str], str]
    planes: dict[tuple[str, str], str]
    limits: dict[tuple[str, str], BuildLimits]
    filters: dict[tuple[str, str], Filters | UserFailure]
    told: dict[tuple[str, str], Told]


class Declarations:
    """Reads components of both groups. Where both declare one name in a namespace, openchoreo.dev's counts."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def all(self, namespace: str = "") -> list[Component]:
        """Every component (of a namespace) that can be read; the others get a Warning Event that says why not.
        Those that are being deleted are left out."""
        # At once, since somebody waits for a push to start its build.
        around, newer, older = await asyncio.gather(
            self._around(namespace),
            self._server.list(OPENCHOREO, "Component", namespace),
            self._server.list(CHOREO, "Component", namespace),
        )
        found: dict[ComponentKey, Component] = {}
        for api_version, objects in ((OPENCHOREO, newer), (CHOREO, older)):
            for obj in objects:
                if "deletionTimestamp" in obj["metadata"]:
                    continue
                try:
                    component = _component(obj, around)
                except UserFailure as failure:
                    await self._complain(obj, failure)
                    continue
                if found.setdefault(component.key, component) is not component:
                    log.warning("component declared twice", component=str(component.key), ignored=api_version)
        return list(found.values())

    async def one(self, key: ComponentKey) -> Component | None:
        """One component; None when it is gone.

        Raises:
            UserFailure: it cannot be read; the message names the field.
        """
        obj, around = await asyncio.gather(self.object(key), self._around(key.namespace))
        return None if obj is None else _component(obj, around)

    async def object(self, key: ComponentKey) -> dict[str, Any] | None:
        """The object itself."""
        newer, older = await asyncio.gather(
            *(self._server.get(group, "Component", key.name, key.namespace) for group in (OPENCHOREO, CHOREO))
        )
        return newer or older

    async def _around(self, namespace: str) -> _Around:
        server = self._server
        declared_workloads, repositories, everywhere, here = await asyncio.gather(
            server.list(OPENCHOREO, "Workload", namespace),
            server.list(TOWPATH, "Repository", namespace),
            server.list(OPENCHOREO, "ClusterWorkflow"),
            server.list(OPENCHOREO, "Workflow", namespace),
        )
        workloads: dict[ComponentKey, dict[str, Any]] = {}
        for obj in declared_workloads:
            key = ComponentKey(namespace=obj["metadata"]["namespace"], name=declared.owner(obj))
            workloads.setdefault(key, obj)
        credentials: dict[tuple[str, str], str] = {}
        limits: dict[tuple[str, str], BuildLimits] = {}
        filters: dict[tuple[str, str], Filters | UserFailure] = {}
        told: dict[tuple[str, str], Told] = {}
        for obj in repositories:
            try:
                repository = read(Repository, obj)
                address = normalise(repository.spec.url)
            except UserFailure as failure:
                await self._complain(obj, failure)
                continue
            place = (repository.metadata.namespace, address)
            limits.setdefault(place, repository.spec.limits)
            if repository.spec.filters is not None:
                filters.setdefault(place, _filters(repository))
            if repository.spec.credentials is not None:
                credentials.setdefault(place, repository.spec.credentials.secret_ref.name)
            try:
                if (hearer := stated_statuses.told(repository)) is not None:
                    told.setdefault(place, hearer)
            except UserFailure as failure:
                # Nobody can be told; all else goes on.
                await self._complain(obj, failure)
        planes: dict[tuple[str, str], str] = {}
        for model, objects in ((ClusterWorkflow, everywhere), (Workflow, here)):
            for obj in objects:
                spec: BuilderSpec = read(model, obj).spec
                planes[obj["metadata"].get("namespace", ""), obj["metadata"]["name"]] = spec.plane
        return _Around(workloads, credentials, planes, limits, filters, told)

    async def _complain(self, obj: dict[str, Any], failure: UserFailure) -> None:
        metadata = obj["metadata"]
        log.warning("manifest cannot be used", kind=obj["kind"], name=metadata["name"], reason=failure.reason)
        try:
            await events.leave(
                self._server, obj, "Warning", failure.reason, failure.message, events.generation(obj)
            )
        except Failure as unheard:
            # One manifest that nobody can be told about must not hold up everybody's pushes.
            log.warning("complaint not left", name=metadata["name"], reason=unheard.reason)


def _component(obj: dict[str, Any], around: _Around) -> Component:
    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
    component = declared.component(obj, around.workloads.get(ComponentKey(namespace=namespace, name=name)))
    changes: dict[str, Any] = {"build_plane": _plane(obj, around)}
    source = component.source
    if source is not None:
        limits = around.limits.get((namespace, normalise(source.url)), BuildLimits())
        changes["priority"] = component.priority or limits.priority or ""
        changes["repository_builds"] = limits.running or 0
        filters = around.filters.get((namespace, normalise(source.url)), Filters())
        if isinstance(filters, UserFailure):
            # Building what somebody wanted to leave out would be no better than leaving out what they want.
            raise filters
        changes["filters"] = merged(component.filters, filters)
        changes["told"] = around.told.get((namespace, normalise(source.url)))
    if source is not None and not source.secret:
        secret = around.credentials.get((namespace, normalise(source.url)), "")
        changes["source"] = source.model_copy(update={"secret": secret})
    return component.model_copy(update=changes)


def _filters(repository: Repository) -> Filters | UserFailure:
    try:
        return stated_filters.stated(
            repository.spec.filters, f"Repository {repository.metadata.name}: spec.filters"
        )
    except UserFailure as failure:
        return failure


def _plane(obj: dict[str, Any], around: _Around) -> str:
    use = (obj.get("spec") or {}).get("workflow")
    name = use.get("name", "") if isinstance(use, dict) else str(use or "")
    kind = use.get("kind", "ClusterWorkflow") if isinstance(use, dict) else "ClusterWorkflow"
    namespace = obj["metadata"]["namespace"] if kind == "Workflow" else ""
    return around.planes.get((namespace, name), "default")
