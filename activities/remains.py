"""What still stands for a ref that was deleted."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from temporalio import activity
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.apiserver import ApiServer
from activities.declarations import Declarations
from activities.git import Git
from activities.mirror import Mirror
from activities.source import Credentials
from model.build import BuildState
from model.component import Component
from model.deletion import Remains, StandingPreview
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.preview import PreviewState
from model.ref_deleted import RefDeleted
from model.repository import branch_of, normalise

S = TypeVar("S", PreviewState, BuildState)
_RPC_TIMEOUT = timedelta(seconds=8)
_QUERIES_AT_ONCE = 20


class RemainsOf:
    """Asks Git and Temporal.

    Args:
        server: the control plane's API server.
        cache: folder for the mirrors.
        credentials: looks secrets up.
        client: lists runs, and asks them.
        program: runs git.
    """

    def __init__(
        self, server: ApiServer, cache: Path, credentials: Credentials, client: Client, program: Git
    ) -> None:
        self._declarations = Declarations(server)
        self._cache = cache
        self._credentials = credentials
        self._client = client
        self._program = program
        self._places = asyncio.Semaphore(_QUERIES_AT_ONCE)

    @activity.defn(name="deletions.look")
    async def look(self, event: RefDeleted) -> Remains:
        """What stands for the ref, unless Git has it (again): then nothing is said to.

        Raises:
            NotFound: `RepositoryNotFound`.
            UserFailure: `GitAuthFailed`.
            InfrastructureFailure: Git or Temporal cannot be asked.
        """
        every = await self._declarations.all()
        about = [each for each in every if each.source and normalise(each.source.url) == event.repository]
        if not about:
            return Remains()
        if await self._exists(about[0], event.ref):
            return Remains(built=True, back=True)
        previews, builds = await asyncio.gather(
            asyncio.gather(*(self._previews(each.key, event) for each in about)),
            asyncio.gather(*(self._builds(each.key, event) for each in about)),
        )
        return Remains(
            built=True,
            previews=tuple(preview for found in previews for preview in found),
            builds=tuple(build for found in builds for build in found),
        )

    async def _exists(self, component: Component, ref: str) -> bool:
        source, namespace = component.source, component.key.namespace
        assert source is not None  # noqa: S101  (only such components are asked for)
        basic = await self._credentials.basic(namespace, source.secret) if source.secret else None
        owner = f"{namespace}/{source.secret}" if source.secret else ""
        mirror = Mirror(self._program, self._cache, source.url, owner, basic)
        async with mirror.locked():
            return ref in await mirror.offered([ref])

    async def _previews(self, key: ComponentKey, event: RefDeleted) -> list[StandingPreview]:
        """Those that show the branch; one of a fork's branch of the same name is not meant."""
        branch = branch_of(event.ref)
        found: list[StandingPreview] = []
        for workflow in await self._open("Preview", key) if branch else ():
            state = await self._state(workflow, PreviewState)
            if state is None or state.ending is not None:
                continue
            fork = bool(state.ref) or (state.awaiting is not None and bool(state.awaiting.ref))
            if state.repository == event.repository and state.branch == branch and not fork:
                found.append(StandingPreview(component=key, change=state.change, at=state.wanted_at))
        return found

    async def _builds(self, key: ComponentKey, event: RefDeleted) -> list[str]:
        line = branch_of(event.ref) or event.ref
        names = [name for name in await self._open("Build", key) if name.startswith("build/")]
        states = await asyncio.gather(*(self._state(name, BuildState) for name in names))
        return [
            name for name, state in zip(names, states, strict=True) if state is not None and state.branch == line
        ]

    async def _open(self, kind: str, key: ComponentKey) -> list[str]:
        query = f"WorkflowType = '{kind}' AND TowpathComponent = '{key}' AND ExecutionStatus = 'Running'"
        try:
            return [run.id async for run in self._client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT)]
        except RPCError as error:
            raise InfrastructureFailure("TemporalUnavailable", "Runs could not be listed.") from error

    async def _state(self, workflow: str, kind: type[S]) -> S | None:
        """How it is; None when it has ended and is forgotten."""
        handle = self._client.get_workflow_handle(workflow)
        try:
            async with self._places:
                found: S = await handle.query("state", result_type=kind, rpc_timeout=_RPC_TIMEOUT)
        except WorkflowQueryFailedError as error:
            raise InfrastructureFailure("RunSilent", f"{workflow} cannot answer: {error.message}") from error
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise InfrastructureFailure("TemporalUnavailable", f"{workflow} could not be asked.") from error
        return found
