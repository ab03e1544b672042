"""Promotions: list, start, approve, reject."""

import asyncio

from model import ids
from model.actor import AUTOMATION, Actor
from model.commit import Commit
from model.failure import InfrastructureFailure, NotFound
from model.gate import Approval
from model.image import Image
from model.key import ComponentKey
from model.lane import Answer
from model.promotion import PromotionRequest, PromotionState
from model.release import Release
from model.workload import Workload
from triggers.runs import Run, Runs
from triggers.views import Accepted, PromotionView
from triggers.webhooks.receiver import Link
from workflows.attributes import COMMIT, PROJECT, attributes


class Promotions:
    """The Promotion workflows of components."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def newest(self, component: ComponentKey, limit: int) -> list[PromotionView]:
        """The component's newest promotions first. One that cannot answer is shown by what Temporal keeps,
        with its `problem`: silence never looks like nothing."""
        runs = await self._runs.find("Promotion", component, limit)
        return list(await asyncio.gather(*(self._view_or_problem(component, run) for run in runs)))

    async def of_release(self, component: ComponentKey, release: str) -> PromotionView:
        """The latest walk of a release, by the release's name.

        Raises:
            NotFound: `PromotionNotFound`.
        """
        run = await self._runs.describe(ids.promotion(component, release))
        if run is None:
            raise NotFound("PromotionNotFound", f"{release} of {component} was never promoted.")
        return await self._view(run)

    async def start(
        self,
        release: Release,
        until: str,
        request: str,
        actor: Actor,
        pinned: bool = False,
        allow_older: bool = False,
    ) -> Accepted:
        """Walk a release through its pipeline (up to `until`, empty: to the end), gates included.

        A release that is being promoted already stays on its way: it is that promotion's answer.
        """
        workflow = ids.promotion(release.component, release.name)
        run = await self._runs.describe(workflow)
        if run is not None and (run.open or run.request == request):
            return self._accepted(workflow, f"{release.name} is already on its way.", duplicate=True)
        started = await self._runs.start(
            "Promotion",
            PromotionRequest(release=release, until=until, actor=actor, pinned=pinned, allow_older=allow_older),
            workflow,
            request,
            attributes(
                project=release.project,
                component=str(release.component),
                commit=release.commit.id,
                stage="promoting",
            ),
            f"Promote {release.name}, wanted by {actor.name}"[:200],
            again=True,
        )
        target = until or "the end of the pipeline"
        return self._accepted(workflow, f"{release.name} is on its way to {target}.", duplicate=not started)

    async def decide(self, workflow: str, approval: Approval) -> Answer:
        """Hand a person's yes or no to the gate.

        Raises:
            Conflict: the gate refuses it, with its reason.
        """
        return await self._runs.update(workflow, "approve", approval, approval.id, Answer)

    async def _view_or_problem(self, component: ComponentKey, run: Run) -> PromotionView:
        try:
            return await self._view(run)
        except (InfrastructureFailure, NotFound) as failure:
            known = Release(
                name=run.workflow.rpartition("/")[2],
                component=component,
                project=run.attributes.get(PROJECT, ""),
                commit=Commit(id=run.attributes.get(COMMIT, "")),
                image=Image(repository="", digest=""),
                workload=Workload(),
                sequence=0,
            )
            return PromotionView(
                workflow=run.workflow,
                url=self._link(run.workflow),
                open=run.open,
                release=known,
                actor=AUTOMATION,
                problem=failure.message,
                started_at=run.started_at,
                finished_at=run.closed_at,
            )

    async def _view(self, run: Run) -> PromotionView:
        state = await self._runs.state(run, PromotionState)
        order = [step.environment for step in state.pipeline.steps] if state.pipeline else list(state.steps)
        return PromotionView(
            workflow=run.workflow,
            url=self._link(run.workflow),
            open=run.open,
            release=state.request.release,
            actor=state.request.actor,
            until=state.request.until,
            steps=tuple(state.steps[name] for name in order if name in state.steps),
            started_at=run.started_at,
            finished_at=run.closed_at,
        )

    def _accepted(self, workflow: str, message: str, duplicate: bool) -> Accepted:
        return Accepted(
            reason="Promoting", message=message, workflow=workflow, url=self._link(workflow), duplicate=duplicate
        )
