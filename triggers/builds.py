"""Builds: list, look, cancel, retry."""

import asyncio
import re

from model import ids
from model.actor import Actor
from model.build import BuildRequest, BuildState
from model.build_queue import QueueView
from model.failure import Conflict, InfrastructureFailure, NotFound
from model.key import ComponentKey
from triggers.runs import Run, Runs
from triggers.views import Accepted, BuildView
from triggers.webhooks.receiver import Link
from workflows.attributes import STAGE, attributes

_ID = re.compile(r"build/(?P<component>[^/]+/[^/]+)/(?P<commit>[0-9a-f]+)/(?P<number>\d+)")
NUMBER_LIMIT = 1000


class Builds:
    """The Build workflows of components."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def newest(self, component: ComponentKey, limit: int) -> list[BuildView]:
        """The component's newest builds first. One that cannot answer is shown by what Temporal keeps."""
        runs = await self._runs.find("Build", component, limit)
        return list(await asyncio.gather(*(self._view(run) for run in runs)))

    async def get(self, component: ComponentKey, commit: str, number: int) -> BuildView:
        """One attempt.

        Raises:
            NotFound: `BuildNotFound`.
        """
        return await self._view(await self._existing(component, commit, number))

    async def cancel(self, component: ComponentKey, commit: str, number: int) -> Accepted:
        """Ask a build to stop; it cleans up after itself.

        Raises:
            NotFound: `BuildNotFound`.
            Conflict: `BuildEnded`.
        """
        run = await self._existing(component, commit, number)
        if not run.open:
            raise Conflict("BuildEnded", f"{run.workflow} has ended already; nothing to cancel.")
        await self._runs.cancel(run.workflow)
        return self._accepted(run.workflow, "Cancelling", "The build is asked to stop.")

    async def retry(self, component: ComponentKey, commit: str, request: str, actor: Actor) -> Accepted:
        """Start the next attempt at a commit that has been built before; the same request starts one.

        Raises:
            NotFound: `BuildNotFound`, the commit was never built.
            Conflict: `BuildRunning`, the last attempt has not ended.
        """
        last, number = await self._last(component, commit, request)
        if last.request == request:
            return self._accepted(last.workflow, "Retrying", "This retry was accepted before.", duplicate=True)
        if last.open:
            raise Conflict("BuildRunning", f"{last.workflow} still runs; cancel it first, or wait.")
        asked = await self._runs.query(last.workflow, "request", BuildRequest)
        workflow = ids.build(component, commit, number + 1)
        started = await self._runs.start(
            "Build",
            asked.model_copy(update={"number": number + 1, "attempt": 1, "cause": "trigger"}),
            workflow,
            request,
            attributes(project=asked.component.project, component=str(component), commit=commit, stage="building"),
            f"Build {component} at {commit[:12]}, attempt {number + 1}, wanted by {actor.name}"[:200],
        )
        if not started:
            raise Conflict("BuildRunning", f"Somebody else has just started {workflow}.")
        return self._accepted(workflow, "Retrying", f"Attempt {number + 1} at {commit[:12]} has started.")

    async def _last(self, component: ComponentKey, commit: str, request: str) -> tuple[Run, int]:
        """The last attempt and its number, or the one that this very request has started."""
        last: Run | None = None
        for number in range(1, NUMBER_LIMIT):
            run = await self._runs.describe(ids.build(component, commit, number))
            if run is None:
                break
            last = run
            if run.request == request:
                return run, number
        if last is None:
            raise NotFound("BuildNotFound", f"{component} was never built at {commit[:12]}.")
        return last, number - 1

    async def _existing(self, component: ComponentKey, commit: str, number: int) -> Run:
        run = await self._runs.describe(ids.build(component, commit, number))
        if run is None:
            raise NotFound("BuildNotFound", f"{component} has no build {number} of {commit[:12]}.")
        return run

    async def _view(self, run: Run) -> BuildView:
        try:
            state = await self._runs.state(run, BuildState)
        except (InfrastructureFailure, NotFound) as failure:
            return self._silent(run, failure.message)
        phase = state.phase
        if not run.open and phase in ("admitted", "queued", "running"):
            # Terminated from outside: the workflow had no say in it.
            phase = "cancelled" if run.status in ("CANCELED", "TERMINATED") else "failed"
        view = BuildView(
            workflow=run.workflow,
            url=self._link(run.workflow),
            component=str(state.component),
            commit=state.commit.id,
            author=state.commit.author,
            subject=state.commit.subject,
            branch=state.branch,
            number=state.number,
            phase=phase,
            reason=state.reason,
            message=state.message,
            argo=state.argo,
            log=state.log,
            image=state.image,
            release=state.release,
            started_at=run.started_at,
            finished_at=run.closed_at,
        )
        return await self._placed(view, state.plane) if phase == "queued" else view

    async def _placed(self, view: BuildView, plane: str) -> BuildView:
        """A waiting build with what it waits for by now. The build itself knows only how it was when it asked."""
        try:
            queue = await self._runs.query(ids.queue(plane), "view", QueueView)
        except (InfrastructureFailure, NotFound) as failure:
            return view.model_copy(update={"message": f"{view.message} ({failure.message})"})
        found = next((each for each in queue.waiting if each.entry.build == view.workflow), None)
        if found is None:
            return view
        message = f"Number {found.position} of {len(queue.waiting)} that wait. {found.message}"
        return view.model_copy(update={"reason": found.reason, "message": message})

    def _silent(self, run: Run, why: str) -> BuildView:
        named = _ID.fullmatch(run.workflow)
        stage = run.attributes.get(STAGE, "") or run.status.lower()
        return BuildView(
            workflow=run.workflow,
            url=self._link(run.workflow),
            component=named["component"] if named else "",
            commit=named["commit"] if named else "",
            number=int(named["number"]) if named else 0,
            phase=stage if not run.open or stage == "queued" else "running",
            reason="NoAnswer",
            message=why,
            started_at=run.started_at,
            finished_at=run.closed_at,
        )

    def _accepted(self, workflow: str, reason: str, message: str, duplicate: bool = False) -> Accepted:
        return Accepted(
            reason=reason, message=message, workflow=workflow, url=self._link(workflow), duplicate=duplicate
        )
