"""Previews: list, look, and people's orders."""

import asyncio

from model import ids, preview_rules
from model.actor import Actor
from model.change_request import ChangeRequest, check_change
from model.component import Component
from model.failure import Conflict, InfrastructureFailure, NotFound
from model.key import ComponentKey
from model.lane import Answer
from model.preview import PreviewOrder, PreviewState
from model.repository import check_ref, normalise
from triggers.runs import Run, Runs
from triggers.starter import Started, Starter
from triggers.views import PreviewView
from triggers.webhooks.receiver import Link
from workflows.attributes import STAGE


class Previews:
    """The Preview workflows of components."""

    def __init__(self, runs: Runs, starter: Starter, link: Link) -> None:
        self._runs = runs
        self._starter = starter
        self._link = link

    async def all(self, component: ComponentKey, limit: int) -> list[PreviewView]:
        """The component's previews, the newest first; those that have ended for a while are gone from it. One
        that cannot answer is shown by what Temporal keeps."""
        runs = await self._runs.find("Preview", component, limit)
        return list(await asyncio.gather(*(self._view(component, run) for run in runs if run.open)))

    async def get(self, component: ComponentKey, change: str) -> PreviewView:
        """One preview, also for as long as Temporal remembers one that has ended.

        Raises:
            NotFound: `PreviewNotFound`.
        """
        run = await self._runs.describe(ids.preview(component, change))
        if run is None:
            raise _absent(component, change)
        return await self._view(component, run)

    async def state(self, component: ComponentKey, change: str) -> PreviewState:
        """All that a preview knows.

        Raises:
            NotFound: `PreviewNotFound`.
        """
        try:
            return await self._runs.query(ids.preview(component, change), "state", PreviewState)
        except NotFound:
            raise _absent(component, change) from None

    async def open(
        self, component: Component, change: str, branch: str, sequence: int, request: str, actor: Actor
    ) -> Started:
        """Show a branch's present head, or show it again; the same request once. Previews need not be switched
        on for it: a person has decided.

        Raises:
            UserFailure: `BadChange` or `BadRef`.
            Conflict: `NothingToBuild`, the component names no repository.
        """
        source = component.source
        if source is None or component.build.kind == "image":
            raise Conflict("NothingToBuild", f"{component.key} names no repository, so there is nothing to show.")
        check_change(change)
        check_ref(f"refs/heads/{branch}")
        asked = ChangeRequest(
            action="open",
            provider="towpath",
            delivery=request,
            repository=normalise(source.url),
            url=source.url,
            change=change,
            branch=branch,
            base=source.branch,
            sequence=sequence,
            actor=actor,
            components=(component.key,),
            again=True,
        )
        by_hand = f"{component.key}/{request}"
        return await self._starter.start(asked, ids.change(asked.repository, change, by_hand))

    async def order(self, component: ComponentKey, change: str, order: PreviewOrder) -> Answer:
        """Give a preview a person's order.

        Raises:
            NotFound: `PreviewNotFound`.
            Conflict: the preview refuses it, with its reason.
        """
        try:
            return await self._runs.update(ids.preview(component, change), "order", order, order.id, Answer)
        except NotFound:
            raise _absent(component, change) from None
        except Conflict as conflict:
            if conflict.reason == "AlreadyEnded":
                raise _absent(component, change) from None
            raise

    async def _view(self, component: ComponentKey, run: Run) -> PreviewView:
        change = run.workflow.rpartition("/")[2]
        try:
            state = await self._runs.state(run, PreviewState)
        except (InfrastructureFailure, NotFound) as failure:
            return PreviewView(
                component=str(component),
                change=change,
                environment=preview_rules.environment(change),
                workflow=run.workflow,
                url=self._link(run.workflow),
                open=run.open,
                phase=run.attributes.get(STAGE, "") or run.status.lower(),
                reason="NoAnswer",
                message=failure.message,
                opened_at=run.started_at,
            )
        return PreviewView(
            component=str(component),
            change=change,
            environment=preview_rules.environment(change),
            workflow=run.workflow,
            url=self._link(run.workflow),
            open=run.open,
            phase=state.phase,
            reason=state.reason,
            message=state.message,
            branch=state.branch,
            title=state.title,
            commit=state.wanted.id if state.wanted else "",
            subject=state.wanted.subject if state.wanted else "",
            address=state.address,
            namespace=state.namespace if not state.removed else "",
            opened_at=state.opened_at,
            expires_at=state.expires_at if state.ending is None else 0,
        )


def _absent(component: ComponentKey, change: str) -> NotFound:
    return NotFound(
        "PreviewNotFound", f"{component} has no preview {change!r}; `towpath preview list {component}`."
    )
