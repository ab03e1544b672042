"""The declared resources on the control plane's API server, and what is told there."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog
from temporalio import activity

from activities import events
from activities.apiserver import ApiServer
from activities.declarations import OPENCHOREO, TOWPATH, Declarations
from activities.followers import Followers
from model import defaults, labels, names, rebinding, released, resolve, status
from model.component import Component
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure
from model.filters import follows
from model.key import ComponentKey
from model.note import Note
from model.pipeline import Pipeline
from model.push import Push
from model.release import Release
from model.repository import normalise
from model.resources.declared import read
from model.resources.project import Project
from model.value import Value

NAMED_ONE_BY_ONE = 5

log = structlog.get_logger(__name__)


class Binding(Value):
    """Which release an environment runs, mirrored as a ReleaseBinding."""

    component: Component
    environment: str
    release: str


class ReleasedQuestion(Value):
    """Ask which of some components have a release of a commit."""

    components: tuple[ComponentKey, ...]
    commit: str


class Announcer(Protocol):
    """Tells programs."""

    async def announce(self, note: Note) -> None:
        """Put a note where programs get it; the same activity tried again says the same.

        Raises:
            InfrastructureFailure: it could not be put there.
        """
        ...


class Resources:
    """Reads components and pipelines, records releases, writes status and Events.

    Args:
        server: the control plane's API server.
        followers: who follows which branch; without it every push reads all components.
        announcer: tells programs what people are told.
    """

    def __init__(
        self, server: ApiServer, followers: Followers | None = None, announcer: Announcer | None = None
    ) -> None:
        self._server = server
        self._followers = followers
        self._announcer = announcer
        self._declarations = Declarations(server)

    @activity.defn(name="resources.components_for")
    async def components_for(self, push: Push) -> list[Component]:
        """The components that follow this push's repository and branch (or that it names).

        Components that are pinned to a commit, switch `autoBuild` off or build nothing follow no push;
        named ones are given whatever they follow.

        Raises:
            UserFailure: a component that the push names cannot be read; the message names the field.
        """
        if push.components:
            return await self._named(push.components)
        known = self._followers.of(push.repository, push.ref) if self._followers else []
        with suppress(UserFailure):
            found = [component for component in await self._known(known) if _follows(component, push)]
            if found:
                return found
        # The index may be behind, and of what it names one may be unreadable by now: that nobody follows is
        # only said, and that one is broken only told, after a look at all there is.
        return [component for component in await self._declarations.all() if _follows(component, push)]

    async def built_from(self, repository: str) -> list[Component]:
        """The components that name a repository (its normalised address), whether they follow it or not."""
        found = await self._declarations.all()
        return [each for each in found if each.source is not None and normalise(each.source.url) == repository]

    @staticmethod
    def following(components: Sequence[Component], push: Push) -> list[Component]:
        """Those of the components that follow a push."""
        return [component for component in components if _follows(component, push)]

    @activity.defn(name="resources.component")
    async def component(self, key: ComponentKey) -> Component | None:
        """One component as declared now, or None when it is gone.

        Raises:
            UserFailure: it cannot be read; the message names the field.
        """
        return await self._declarations.one(key)

    @activity.defn(name="resources.pipeline")
    async def pipeline(self, component: Component) -> Pipeline:
        """The component's pipeline with every rule resolved; default project, environments and pipeline
        are made when absent.

        Raises:
            NotFound: `ProjectNotFound` or `PipelineNotFound`, for names other than `default`.
            UserFailure: what `model.resolve.pipeline` refuses.
        """
        namespace = component.key.namespace
        project = await self._project(component)
        reference = project.spec.deployment_pipeline_ref
        name = reference.name if reference else defaults.PIPELINE
        declared, environments, policies, freezes = await asyncio.gather(
            self._server.get(OPENCHOREO, "DeploymentPipeline", name, namespace),
            self._server.list(OPENCHOREO, "Environment", namespace),
            self._server.list(TOWPATH, "PromotionPolicy", namespace),
            self._server.list(TOWPATH, "Freeze", namespace),
        )
        if declared is None:
            declared = await self._default_pipeline(name, namespace, project)
            environments = await self._server.list(OPENCHOREO, "Environment", namespace)
        found = resolve.pipeline(component, declared, environments, policies, freezes)
        return resolve.without_ended(found, time.time())

    @activity.defn(name="resources.record_release")
    async def record_release(self, release: Release) -> None:
        """Keep the release as an immutable ComponentRelease; the same one twice is one.

        Raises:
            Conflict: `ReleaseDiffers`, the name is taken by a release of other content.
        """
        try:
            await self._server.create(released.manifest(release))
        except Conflict:
            kept = await self.release(release.component, release.name)
            if kept is None or not released.same(kept, release):
                raise Conflict(
                    "ReleaseDiffers",
                    f"ComponentRelease {release.name} exists with other content; a release never changes.",
                ) from None

    @activity.defn(name="resources.released")
    async def released(self, question: ReleasedQuestion) -> list[ComponentKey]:
        """Which of the components have a release of a commit, whoever built it and whenever."""
        selector = f"{labels.COMMIT}={names.label_value(question.commit[:40])}"
        namespaces = sorted({key.namespace for key in question.components})
        found = await asyncio.gather(
            *(self._server.list(OPENCHOREO, "ComponentRelease", each, selector) for each in namespaces)
        )
        made = {kept.component for each in found for kept in map(released.release, each) if kept is not None}
        return [key for key in question.components if key in made]

    async def release(self, key: ComponentKey, name: str) -> Release | None:
        """One release by its name; None when there is none (or another engine made it)."""
        obj = await self._server.get(OPENCHOREO, "ComponentRelease", name, key.namespace)
        found = None if obj is None else released.release(obj)
        return found if found is not None and found.component == key else None

    async def releases(self, key: ComponentKey) -> list[Release]:
        """A component's releases, newest first."""
        selector = released.selector(key)
        objects = await self._server.list(OPENCHOREO, "ComponentRelease", key.namespace, selector)
        found = [release for release in map(released.release, objects) if release is not None]
        return sorted(found, key=lambda release: release.sequence, reverse=True)

    @activity.defn(name="resources.bind")
    async def bind(self, binding: Binding) -> None:
        """Mirror which release an environment runs. Goes with its component when that is deleted."""
        key = binding.component.key
        obj = await self._object(binding.component)
        if obj is None:
            log.info("no binding for a component that is gone", component=str(key))
            return
        if await self._is_said_by_others(binding):
            return
        await self._server.apply(
            {
                "apiVersion": OPENCHOREO,
                "kind": "ReleaseBinding",
                "metadata": {
                    "name": names.release_binding(key.name, binding.environment),
                    "namespace": key.namespace,
                    "labels": labels.for_component(key, binding.component.project, binding.environment),
                    "ownerReferences": [_owner(obj)],
                },
                "spec": {
                    "owner": {"projectName": binding.component.project, "componentName": key.name},
                    "environment": binding.environment,
                    "releaseName": binding.release,
                    "state": "Active",
                },
            }
        )

    async def _is_said_by_others(self, binding: Binding) -> bool:
        """Whether the binding is somebody else's and says the same, or is a GitOps controller's, with which the
        mirror does not fight: then an Event says what runs."""
        key, name = binding.component.key, names.release_binding(binding.component.key.name, binding.environment)
        present = await self._server.get(OPENCHOREO, "ReleaseBinding", name, key.namespace)
        manager = rebinding.foreign_writer(present) if present is not None else ""
        if present is None or not manager:
            return False
        said = (present.get("spec") or {}).get("releaseName")
        if said == binding.release:
            return True
        if not rebinding.by_gitops(manager):
            return False
        message = f"{binding.environment} runs {binding.release}; {manager} says {said}. Change it in Git."
        occasion = f"{events.generation(present)}/{binding.release}"
        await events.leave(self._server, present, "Warning", "BindingDiffers", message, occasion)
        return True

    @activity.defn(name="resources.tell")
    async def tell(self, note: Note) -> None:
        """Leave an Event on the component and a piece of its status; tried again it is still one Event.

        For a component that was deleted meanwhile there is nobody to tell: that is logged, and all.
        """
        told = await asyncio.gather(self._tell(note), self._announce(note), return_exceptions=True)
        for failure in told:
            if isinstance(failure, BaseException):
                raise failure

    async def _announce(self, note: Note) -> None:
        if self._announcer is not None:
            await self._announcer.announce(note)

    async def _tell(self, note: Note) -> None:
        key = note.component.key
        obj = await self._object(note.component)
        if obj is None:
            log.info("nobody to tell", component=str(key), reason=note.reason)
            return
        try:
            await asyncio.gather(
                events.leave(self._server, obj, note.type, note.reason, note.message, _occasion(note, obj)),
                *(() if note.aside else (self._write_status(obj, note),)),
            )
        except (NotFound, InfrastructureFailure) as failure:
            if isinstance(failure, InfrastructureFailure) and failure.reason != "NamespaceTerminating":
                raise
            log.info("the component went while it was told", component=str(key), reason=note.reason)

    async def _write_status(self, obj: dict[str, Any], note: Note) -> None:
        key, present = note.component.key, obj.get("status") or {}
        patch = {"status": status.scalars(note, present)}
        await self._server.merge(obj["apiVersion"], "Component", key.name, key.namespace, patch, "status")
        for manager, fields in status.applied(note, present, events.now()):
            await self._server.apply(
                {
                    "apiVersion": obj["apiVersion"],
                    "kind": "Component",
                    "metadata": {"name": key.name, "namespace": key.namespace},
                    "status": fields,
                },
                field_manager=manager,
                subresource="status",
            )

    async def _known(self, keys: Sequence[ComponentKey]) -> list[Component]:
        """Those that the index names; of many it is quicker to read their namespaces, once."""
        if len(keys) <= NAMED_ONE_BY_ONE:
            return await self._named(keys)
        namespaces = sorted({key.namespace for key in keys})
        read = await asyncio.gather(*(self._declarations.all(namespace) for namespace in namespaces))
        return [component for each in read for component in each]

    async def _named(self, keys: Sequence[ComponentKey]) -> list[Component]:
        found = await asyncio.gather(*(self._declarations.one(key) for key in keys))
        return [component for component in found if component is not None]

    async def _object(self, component: Component) -> dict[str, Any] | None:
        key = component.key
        return await self._server.get(component.api_version, "Component", key.name, key.namespace)

    async def _project(self, component: Component) -> Project:
        namespace = component.key.namespace
        obj = await self._server.get(OPENCHOREO, "Project", component.project, namespace)
        if obj is None and component.project != defaults.PROJECT:
            raise NotFound(
                "ProjectNotFound",
                f"There is no Project {component.project} in namespace {namespace}; declare it, or leave the "
                "component's project out to use the default one.",
            )
        return read(Project, obj or await self._make(defaults.project(namespace)))

    async def _default_pipeline(self, name: str, namespace: str, project: Project) -> dict[str, Any]:
        if name != defaults.PIPELINE:
            raise NotFound(
                "PipelineNotFound",
                f"Project {project.metadata.name}: spec.deploymentPipelineRef: there is no DeploymentPipeline "
                f"{name} in namespace {namespace}.",
            )
        # The pipeline last: whoever finds it finds its environments, also after a crash in between.
        for environment in defaults.environments(namespace):
            await self._make(environment)
        return await self._make(defaults.pipeline(namespace))

    async def _make(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Create it, or take the one that is there, which may be a user's: it is never overwritten."""
        try:
            return await self._server.create(obj)
        except Conflict:
            metadata = obj["metadata"]
            kept = await self._server.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata["namespace"])
            if kept is None:
                raise
            return kept


def _follows(component: Component, push: Push) -> bool:
    source = component.source
    if source is None or source.commit or not component.auto_build or component.build.kind == "image":
        return False
    return normalise(source.url) == push.repository and follows(component.filters, source.branch, push.ref)


def _owner(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": metadata["name"], "uid": metadata["uid"]}


def _occasion(note: Note, obj: dict[str, Any]) -> str:
    """What tells one occasion from another: the activity, which keeps its id when it is tried again; for what
    a manifest says, its generation."""
    if note.of_manifest:
        return events.generation(obj)
    if not activity.in_activity():
        return f"{note.workflow}/{note.stage}/{note.message}"
    info = activity.info()
    return f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}"
