"""Argo Workflows on a build plane: one object per attempt."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog
from temporalio import activity

from activities import argo, argostatus
from activities.apiserver import ApiServer
from activities.argowatch import ArgoWatch
from activities.buildlog import INTERVAL_SECONDS, BuildLog
from activities.heartbeat import beating
from activities.registry import Registry
from model import labels, names
from model.build import BuildRequest, BuildResult, Rivals, SubmittedBuild
from model.failure import Conflict, Failure, InfrastructureFailure, NotFound, UserFailure
from model.image import Image, is_digest
from model.masking import excerpt

WORKLOAD_LIMIT = 64 * 1024
_LOG_POLL_SECONDS = 0.3
_LOG_END_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Builds:
    """Submits, watches and stops builds.

    Args:
        server: the build plane's API server.
        registry: where images and logs go.
        plane: what the plane has.
    """

    def __init__(self, server: ApiServer, registry: Registry, plane: argo.BuildPlane) -> None:
        self._server = server
        self._registry = registry
        self._plane = plane
        self._watch = ArgoWatch(server, plane.namespace)

    @activity.defn(name="builds.submit")
    async def submit(self, request: BuildRequest) -> SubmittedBuild:
        """Create the attempt's Argo Workflow, or adopt the one that an earlier try created.

        Raises:
            UserFailure: `NothingToBuild`, `UnknownRuntime`, or the API server refuses the object.
            InfrastructureFailure: `NameTaken`, an object of this name is of another build.
        """
        wanted = argo.manifest(request, self._plane)
        name = wanted["metadata"]["name"]
        try:
            made = await self._server.create(wanted)
        except Conflict:
            made = await self._adopt(name, wanted)
        component = request.component
        return SubmittedBuild(
            namespace=self._plane.namespace,
            name=name,
            uid=made["metadata"]["uid"],
            component=component.key,
            image_repository=argo.image_repository(request, self._plane),
        )

    @activity.defn(name="builds.older")
    async def older(self, request: BuildRequest) -> Rivals:
        """Unfinished builds of the same component and line: the older ones, and a newer one if there is."""
        key = request.component.key
        selector = (
            f"{labels.COMPONENT}={key.name},{labels.NAMESPACE}={key.namespace},"
            f"{labels.BRANCH_HASH}={names.branch_hash(request.line)}"
        )
        found = await self._server.list(argo.API_VERSION, argo.KIND, self._plane.namespace, labels=selector)
        older: dict[str, None] = {}
        newest, newer = request.sequence, ""
        for workflow in found:
            if argostatus.is_finished(workflow) or (workflow.get("spec") or {}).get("shutdown"):
                continue
            metadata = workflow["metadata"]
            sequence = int(metadata["labels"].get(labels.SEQUENCE) or 0)
            name = (metadata.get("annotations") or {}).get(labels.WORKFLOW, "")
            if sequence < request.sequence and name:
                older[name] = None
            elif sequence > newest and name:
                newest, newer = sequence, name
        return Rivals(older=tuple(older), newer=newer)

    @activity.defn(name="builds.watch")
    async def watch(self, build: SubmittedBuild) -> BuildResult:
        """Wait for the end, keeping the log; the digest is the one the registry serves.

        Failures of the build itself are results. What is raised is worth another look at the same object.

        Raises:
            InfrastructureFailure: the API server or the registry cannot be reached.
        """
        kept = BuildLog(self._registry, build.image_repository, names.build_log_tag(build.name))
        begun, over = asyncio.Event(), asyncio.Event()
        async with beating(lambda: [build.name, build.uid]):
            keeping = asyncio.create_task(self._keep(build, kept, begun, over))
            try:
                result = await self._end(build, begun)
                over.set()
                note = await keeping
            finally:
                keeping.cancel()
                with suppress(asyncio.CancelledError):
                    await keeping
        message = f"{result.message} ({note})".strip() if note else result.message
        said = excerpt(kept.tail) if result.phase == "failed" else ""
        return result.model_copy(update={"log": kept.reference, "message": message, "excerpt": said})

    @activity.defn(name="builds.stop")
    async def stop(self, build: SubmittedBuild) -> None:
        """Terminate the attempt; stopping a finished or absent one is fine."""
        await self._stop(build)

    async def _stop(self, build: SubmittedBuild) -> None:
        # With the uid the API server refuses when the object is another one of the same name.
        patch = {"metadata": {"uid": build.uid}, "spec": {"shutdown": "Terminate"}}
        with suppress(NotFound, Conflict):
            await self._server.merge(argo.API_VERSION, argo.KIND, build.name, build.namespace, patch)

    async def _adopt(self, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
        there = await self._server.get(argo.API_VERSION, argo.KIND, name, self._plane.namespace)
        if there is None:
            raise InfrastructureFailure("BuildVanished", f"Argo Workflow {name} was there and is gone; try again.")
        ours = wanted["metadata"]["labels"][labels.SPEC_HASH]
        theirs = (there["metadata"].get("labels") or {}).get(labels.SPEC_HASH)
        if ours != theirs:
            raise InfrastructureFailure(
                "NameTaken",
                f"Argo Workflow {name} exists and is another build ({theirs or 'not ours'}); delete it to go on.",
            )
        return there

    async def _end(self, build: SubmittedBuild, begun: asyncio.Event) -> BuildResult:
        """Follow the one object until it has ended, is gone, or will not get going.

        `begun` is set when there may be something to read in its log.
        """
        seen = False
        trouble: argostatus.Waiting | None = None
        give_up = 0.0
        now = asyncio.get_running_loop().time
        async with self._watch.of(build.name) as changes:
            while True:
                try:
                    async with asyncio.timeout_at(give_up if trouble else None):
                        change = await changes.next()
                except TimeoutError:
                    assert trouble is not None  # noqa: S101  (there is no time limit without)
                    await self._stop(build)
                    return _failed(trouble.reason, trouble.message)
                if change.type == "SYNCED":
                    if not seen:
                        return _gone(build)
                    continue
                if change.type == "DELETED" or change.object["metadata"]["uid"] != build.uid:
                    if await self._is_there(build):
                        # Of an earlier object of this name; the watch is behind.
                        continue
                    return _gone(build)
                seen = True
                if argostatus.has_begun(change.object):
                    begun.set()
                if argostatus.is_finished(change.object) or argostatus.has_delivered(change.object):
                    return await self._result(build, change.object)
                waiting = argostatus.waiting(change.object)
                if waiting is None or trouble is None or waiting.reason != trouble.reason:
                    give_up = now() + (waiting.patience if waiting else 0)
                trouble = waiting

    async def _is_there(self, build: SubmittedBuild) -> bool:
        there = await self._server.get(argo.API_VERSION, argo.KIND, build.name, build.namespace)
        return there is not None and there["metadata"]["uid"] == build.uid

    async def _result(self, build: SubmittedBuild, workflow: dict[str, Any]) -> BuildResult:
        started, finished = argostatus.times(workflow)
        times = {"started_at": started, "finished_at": finished or time.time()}
        if not argostatus.has_delivered(workflow) and argostatus.phase(workflow) != "Succeeded":
            fault = argostatus.fault(workflow)
            return BuildResult(
                phase=fault.phase, reason=fault.reason, message=fault.message, failure=fault.fault, **times
            )
        outcome = argostatus.outcome(workflow)
        served = ""
        if is_digest(outcome.digest):
            served = await self._registry.digest_of(build.image_repository, outcome.digest)
        if not served or served != outcome.digest:
            return _failed(
                "DigestMismatch",
                f"The build pushed {outcome.digest or 'nothing'}, the registry serves {served or 'nothing'}.",
            ).model_copy(update=times)
        if len(outcome.workload.encode()) > WORKLOAD_LIMIT:
            return _failed("BadWorkload", "workload.yaml has more than 64 KiB.").model_copy(
                update={**times, "failure": "user"}
            )
        return BuildResult(
            phase="succeeded",
            reason="Built",
            message=f"Built {outcome.digest}.",
            image=Image(repository=build.image_repository, digest=outcome.digest),
            workload=outcome.workload,
            **times,
        )

    async def _keep(self, build: SubmittedBuild, kept: BuildLog, begun: asyncio.Event, over: asyncio.Event) -> str:
        """Keep the log until the build is over; answers what people should know when that did not work."""
        try:
            # Builds may queue by the hundred: nothing is asked for before there can be a log.
            await _first(begun, over)
            await _insist(kept.resume, over)
            following = asyncio.create_task(self._follow(build, kept, over))
            try:
                while not following.done():
                    await asyncio.wait({following}, timeout=INTERVAL_SECONDS)
                    await _insist(kept.store, over)
                await following
            finally:
                following.cancel()
            await _insist(kept.finish, over)
        except Failure as failure:
            log.warning("build log not kept", build=build.name, reason=failure.reason, error=failure.message)
            return f"the log is incomplete: {failure.message}"
        return ""

    async def _follow(self, build: SubmittedBuild, kept: BuildLog, over: asyncio.Event) -> None:
        """Read the pod's log to its end, from the beginning again whenever the stream breaks."""
        tries_after = 3
        while tries_after:
            # Looked at before reading: a reading that begins after the end is complete.
            was_over = over.is_set()
            follower = kept.follow()
            try:
                async for content in self._server.logs(build.namespace, build.name, argo.CONTAINER):
                    follower.read(content)
                if was_over:
                    return
            except UserFailure:
                # No pod, or no container in it yet. Once the build is over there will be none.
                if was_over:
                    return
            except InfrastructureFailure as failure:
                log.info("build log interrupted", build=build.name, error=failure.message)
                tries_after -= int(was_over)
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _LOG_POLL_SECONDS)


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _insist(step: Callable[[], Awaitable[None]], over: asyncio.Event) -> None:
    """Do it however long the registry is away while the build runs, and for some seconds afterwards."""
    now = asyncio.get_running_loop().time
    until = 0.0
    while True:
        try:
            return await step()
        except InfrastructureFailure as failure:
            until = until or (now() + _LOG_END_SECONDS if over.is_set() else 0)
            if until and now() > until:
                raise
            log.info("build log waits for the registry", error=failure.message)
            await asyncio.sleep(INTERVAL_SECONDS)


def _failed(reason: str, message: str) -> BuildResult:
    return BuildResult(phase="failed", reason=reason, message=message, failure="infrastructure")


def _gone(build: SubmittedBuild) -> BuildResult:
    return _failed("BuildVanished", f"Argo Workflow {build.name} was deleted or replaced before its end was seen.")
