"""Sweeps that people ask for: a look at a repository now, and what came of it."""

from model import ids
from model.actor import Actor
from model.failure import NotFound
from model.repository import normalise
from model.sweep import SweepRequest, SweepState
from triggers.repositories import KnownRepository, Repositories
from triggers.runs import Runs
from triggers.starter import Started, Starter
from triggers.views import SweepView
from triggers.webhooks.receiver import Link


class Sweeps:
    """The Sweep workflows of requests."""

    def __init__(self, runs: Runs, starter: Starter, repositories: Repositories, link: Link) -> None:
        self._runs = runs
        self._starter = starter
        self._repositories = repositories
        self._link = link

    async def ask(self, address: str, actor: Actor, request: str) -> Started:
        """Look at a repository now; the same request while it is under way is one.

        Raises:
            UserFailure: `BadRepositoryAddress`.
            NotFound: `UnknownRepository`.
            InfrastructureFailure: `TemporalUnavailable`.
        """
        known = self._known(address)
        asked = SweepRequest(repository=known.repository, because="asked", delivery=request, actor=actor)
        return await self._starter.start(asked, self._workflow(known, request))

    async def state(self, address: str, request: str) -> SweepView:
        """How far a sweep is that was asked for.

        Raises:
            UserFailure: `BadRepositoryAddress`.
            NotFound: `UnknownRepository`, `SweepNotFound`.
            InfrastructureFailure: `NoWorker`, `TemporalUnavailable`.
        """
        workflow = self._workflow(self._known(address), request)
        run = await self._runs.describe(workflow)
        if run is None:
            raise NotFound("SweepNotFound", f"There is no {workflow} (or it is no longer kept).")
        state = await self._runs.state(run, SweepState)
        return SweepView(
            workflow=workflow,
            url=self._link(workflow),
            open=run.open,
            repository=state.request.repository,
            outcome=state.outcome,
            message=state.message,
            refs=state.refs,
            recorded=state.recorded,
            found=tuple(state.found),
        )

    def _known(self, address: str) -> KnownRepository:
        known = self._repositories.find(address)
        if known is None:
            named = normalise(address)
            raise NotFound("UnknownRepository", f"No component or Repository names {named}; apply one.")
        return known

    @staticmethod
    def _workflow(known: KnownRepository, request: str) -> str:
        return ids.sweep(known.repository, f"asked/{request}")
