"""Build: one attempt at a component and a commit, from admission to a release."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.builds import Builds
    from activities.resources import Resources
    from model import ids, names, workload_file
    from model.build import BuildPhase, BuildRequest, BuildResult, BuildState, SubmittedBuild
    from model.build_queue import Held, Place
    from model.failure import UserFailure
    from model.masking import fenced
    from model.note import BuildNote, Note
    from model.release import Release, release_name
    from model.status_note import of_build
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.promoting import promote
    from workflows.slot import Slot
    from workflows.teller import Teller
    from workflows.telling_statuses import StatusTeller

INFRASTRUCTURE_TRIES = 3
BACK_OFF = timedelta(seconds=5)


@workflow.defn(name="Build")
class Build:
    """Builds an image, keeps its log, records the release and sends it on its way."""

    @workflow.init
    def __init__(self, request: BuildRequest) -> None:
        self._request = request
        self._queue = ids.build_queue(request.component.build_plane)
        self._superseded_by = ""
        self._submitted: SubmittedBuild | None = None
        self._slot = Slot(request)
        self._leaving: asyncio.Task[None] | None = None
        self._teller = Teller()
        self._statuses = StatusTeller()
        self._result = BuildResult(phase="admitted")
        self._state = BuildState(
            workflow=workflow.info().workflow_id,
            component=request.component.key,
            commit=request.commit,
            branch=request.branch,
            number=request.number,
            phase="admitted",
            plane=request.component.build_plane,
        )

    @workflow.query
    def state(self) -> BuildState:
        """How far this build is."""
        return self._state

    @workflow.query
    def request(self) -> BuildRequest:
        """What this build was asked to do; a retry asks for the same with the next number."""
        return self._request

    @workflow.query
    def slot(self) -> Held:
        """Whether this build has a slot of its plane, or waits for one; asked by the plane's queue."""
        return self._slot.held(self._submitted is not None)

    @workflow.signal
    def granted(self, _place: Place) -> None:
        """The plane's queue lets this build in."""
        self._slot.grant()

    @workflow.signal
    def supersede(self, newer: str) -> None:
        """A newer push of the same branch has come; `newer` is its commit or build."""
        self._superseded_by = self._superseded_by or newer

    @workflow.run
    async def run(self, request: BuildRequest) -> BuildState:
        """Wait for a slot, submit, supersede older builds, watch, record the release, start its promotion."""
        if not request.preview:
            self._tell_status("admitted", "The build begins.")
        try:
            result = await self._admitted() or await self._attempts()
        except asyncio.CancelledError:
            await self._stop()
            self._leave()
            await self._ended("cancelled", "Cancelled", "Somebody cancelled this build.")
            raise
        if self._superseded_by:
            await self._stop()
            self._leave()
            await self._ended("superseded", "Superseded", f"{self._superseded_by} is newer on {request.branch}.")
            return self._state
        self._leave()
        self._result = result
        if result.phase != "succeeded" or result.image is None:
            await self._ended("failed", result.reason or "BuildFailed", result.message)
            return self._state
        return await self._release(result)

    async def _admitted(self) -> BuildResult | None:
        """Wait until the plane takes this build. A result where there is nothing to be built any more."""
        if not workflow.patched("build-queue"):
            return None
        try:
            newer = await self._slot.take(lambda: bool(self._superseded_by), self._waits)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            cause = cause_of(error)
            return BuildResult(
                phase="failed", reason=cause.reason, message=cause.message, failure="infrastructure"
            )
        self._superseded_by = self._superseded_by or newer
        if self._superseded_by:
            return BuildResult(phase="superseded")
        if self._state.phase == "queued":
            # Said before it is submitted, so that who looks finds it among those that have a slot.
            self._update(phase="admitted", reason="", message="")
            stage("building")
        return None

    def _waits(self, place: Place) -> None:
        """Say, once, that this build waits and what for. Where it stands by now is asked of the queue."""
        # That a queue has just begun is over in a moment, and nothing to tell anybody.
        first = self._state.reason in ("", "CountingBuilds") and place.reason != "CountingBuilds"
        self._update(phase="queued", reason=place.reason, message=place.message)
        if first:
            stage("queued")
            before = f" Number {place.position} of those that wait." if place.position else ""
            self._tell("Normal", "BuildQueued", f"{place.reason}: {place.message}{before}", "queued")

    def _leave(self) -> None:
        """Let others have the slot, beside what is still to be done."""
        self._leaving = asyncio.create_task(self._slot.leave())

    async def _attempts(self) -> BuildResult:
        """Try again, a bounded number of times, when it was the infrastructure that failed."""
        for attempt in range(1, INFRASTRUCTURE_TRIES + 1):
            result = await self._attempt(attempt)
            if result.failure != "infrastructure" or attempt == INFRASTRUCTURE_TRIES or self._superseded_by:
                return result
            self._tell("Warning", "BuildRetried", f"Attempt {attempt}: {result.message}", "running")
            await workflow.sleep(BACK_OFF * attempt)
        raise AssertionError("the loop above always returns")

    async def _attempt(self, attempt: int) -> BuildResult:
        request = self._request.model_copy(update={"attempt": attempt})
        try:
            submitted = await perform(Builds.submit, request, self._queue, f"attempt {attempt}")
            self._submitted = submitted
            log = f"{submitted.image_repository}:{names.build_log_tag(submitted.name)}"
            self._update(
                phase="running", argo=submitted.name, log=log, reason="Building", message="The build runs."
            )
            self._tell(
                "Normal", "BuildStarted", f"Building {request.commit.id[:12]} ({submitted.name}).", "running"
            )
            await self._supersede_older(request)
            watching = asyncio.create_task(perform(Builds.watch, submitted, self._queue))
            await workflow.wait_condition(lambda: watching.done() or bool(self._superseded_by))
            if not watching.done():
                watching.cancel()
                with suppress(ActivityError, asyncio.CancelledError):
                    await watching
                return BuildResult(phase="superseded")
            return watching.result()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            cause = cause_of(error)
            fault = "user" if cause.fault == "user" else "infrastructure"
            return BuildResult(phase="failed", reason=cause.reason, message=cause.message, failure=fault)

    async def _supersede_older(self, request: BuildRequest) -> None:
        """After our own object exists: of two builds at once, at least one sees the other."""
        rivals = await perform(Builds.older, request, self._queue)
        if rivals.newer:
            self._superseded_by = self._superseded_by or rivals.newer
        for workflow_id in rivals.older:
            older = workflow.get_external_workflow_handle_for(Build.run, workflow_id)
            try:
                await older.signal(Build.supersede, request.commit.id[:12])
            except ApplicationError as error:
                workflow.logger.info("%s has ended by itself: %s", workflow_id, error.message)

    async def _stop(self) -> None:
        if self._submitted is not None:
            await perform(Builds.stop, self._submitted, self._queue)

    async def _release(self, result: BuildResult) -> BuildState:
        request, component = self._request, self._request.component
        assert result.image is not None  # noqa: S101  (run() has looked)
        try:
            file = workload_file.parse(result.workload) if result.workload else None
            workload = workload_file.merge(component.workload, file)
        except UserFailure as failure:
            await self._ended("failed", failure.reason, failure.message)
            return self._state
        release = Release(
            name=release_name(component.key, request.commit.id, result.image, workload),
            component=component.key,
            project=component.project,
            commit=request.commit,
            image=result.image,
            workload=workload,
            sequence=request.sequence,
            build=workflow.info().workflow_id,
            branch=request.branch,
            version=request.version,
        )
        if request.preview:
            self._update(image=result.image.reference, release=release.name, made=release)
            await self._ended("succeeded", "Built", f"{release.name} ({release.digest[:19]})")
            return self._state
        try:
            await perform(Resources.record_release, release, summary=release.name)
        except ActivityError as error:
            cause = cause_of(error)
            await self._ended("failed", cause.reason, cause.message)
            return self._state
        self._update(image=result.image.reference, release=release.name)
        if component.auto_deploy:
            await promote(release)
        await self._ended("succeeded", "Released", f"{release.name} ({release.digest[:19]})", release)
        return self._state

    async def _ended(self, phase: BuildPhase, reason: str, message: str, release: Release | None = None) -> None:
        self._update(phase=phase, reason=reason, message=message)
        stage(phase)
        metrics.built(self._request.component.project, phase, reason)
        event = {"succeeded": "BuildSucceeded", "superseded": "BuildSuperseded", "cancelled": "BuildCancelled"}
        kind = "Normal" if phase in event else "Warning"
        told = message if phase in event else f"{reason}: {message}"
        self._tell(kind, event.get(phase, "BuildFailed"), told, phase, release)
        await self._teller.finish()
        await self._statuses.finish()
        if self._leaving is not None:
            await self._leaving

    def _tell(self, kind: str, reason: str, message: str, phase: str, release: Release | None = None) -> None:
        request = self._request
        if request.preview:
            # The component's status speaks of its own branch; the Preview tells of this one.
            return
        self._tell_status(phase, message)
        workflow_id = workflow.info().workflow_id
        note = Note.model_validate(
            {
                "component": request.component,
                "type": kind,
                "reason": reason,
                "message": message,
                "stage": f"build: {phase}",
                "workflow": workflow_id,
                "build": BuildNote(workflow=workflow_id, commit=request.commit.id, phase=phase, message=message),
                "latest_release": release.name if release else "",
                "latest_image": release.image.reference if release else "",
            }
        )
        self._teller.tell(note)

    def _tell_status(self, phase: str, title: str) -> None:
        request, result = self._request, self._result
        detail = f"{title}\n\n{fenced(result.excerpt)}" if phase == "failed" and result.excerpt else title
        state = of_build(phase, result.failure)
        self._statuses.tell(request.component, request.commit.id, "build", state, title, detail)

    def _update(self, **changed: object) -> None:
        self._state = self._state.model_copy(update=changed)
        state = self._state
        lines = [
            f"**{state.phase}** {state.reason} {state.message}",
            "",
            f"- commit `{state.commit.id}` on `{state.branch}` by {state.commit.author}",
            f"- Argo Workflow `{state.argo}`",
        ]
        if state.image:
            lines.append(f"- image `{state.image}`")
        if state.release:
            lines.append(f"- release `{state.release}`")
        if state.phase == "failed" and self._result.excerpt:
            # Where a status' link leads: providers have no room for it, but for GitHub's checks.
            lines += ["", fenced(self._result.excerpt)]
        workflow.set_current_details("\n".join(lines))
