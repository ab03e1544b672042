"""Looking at a repository as it is now, beside what was handled of it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

import structlog
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.ledgers import Ledgers, RecordingRequest
from activities.source import Source
from model import ledger
from model.component import Component
from model.failure import Failure, InfrastructureFailure, NotFound, UserFailure
from model.key import ComponentKey
from model.ledger import Handling, LedgerQuestion, LedgerState, Missed, Recording
from model.push import Push
from model.release import Release
from model.repository import branch_of
from model.resources.repository import Repository
from model.sweep import StandingAnswer, StandingQuestion, SweepLook, SweepRequest

AT_ONCE = 100
"""What one look hands over; the next look finds the rest."""
RECORDED_AT_ONCE = 500
NO_ACCESS = frozenset({"GitAuthFailed", "RepositoryNotFound", "SecretNotFound"})
NO_OCCASION = frozenset({"git"})
"""Senders whose id of a delivery is made of what it says: the same move a second time bears the same id."""
_RPC_TIMEOUT = timedelta(seconds=8)

log = structlog.get_logger(__name__)


class _Way(NamedTuple):
    """An address of the repository, and whose credentials open it."""

    url: str
    namespace: str
    secret: str


class Declared(Protocol):
    """The part of `activities.resources.Resources` that is needed here."""

    async def built_from(self, repository: str) -> list[Component]:
        """The components that name a repository."""
        ...

    def following(self, components: Sequence[Component], push: Push) -> list[Component]:
        """Those of them that follow a push."""
        ...

    async def releases(self, key: ComponentKey) -> list[Release]:
        """What was released of a component."""
        ...


class Repositories(Protocol):
    """The part of `activities.repositories.Repositories` that is needed here."""

    async def every(self, namespace: str, address: str) -> list[Repository]:
        """The Repository objects that speak of an address."""
        ...


class Sweeps:
    """Compares what a Git server has with what the ledger knows.

    Args:
        client: asks how workflows stand.
        source: reads repositories.
        ledgers: knows what was handled.
        resources: knows who follows what.
        repositories: knows which repositories are declared.
    """

    def __init__(
        self, client: Client, source: Source, ledgers: Ledgers, resources: Declared, repositories: Repositories
    ) -> None:
        self._client = client
        self._source = source
        self._ledgers = ledgers
        self._resources = resources
        self._repositories = repositories

    @activity.defn(name="sweeps.look")
    async def look(self, request: SweepRequest) -> SweepLook:
        """What nobody has announced. Heads that nobody follows are put down and not handed over; so are all heads
        of a repository that is seen for the first time, but for branches whose followers never had a build.

        Raises:
            NotFound: `UnknownRepository`, nobody declares it (any more); and as `Source.heads`.
            UserFailure: as `Source.heads`.
            InfrastructureFailure: the Git server, the API server or Temporal cannot be reached.
        """
        if (
            request.because == "duplicate"
            and request.provider not in NO_OCCASION
            and await self._is_known(request)
        ):
            return SweepLook(reason="KnownDelivery", message="This delivery has been dealt with.")
        way, heads = await self._heads(request.repository)
        # After the refs: what was handled in between is handled.
        kept = await self._ledgers.all(request.repository)
        found = ledger.compare(kept.refs, heads, request.refs)
        if not heads and found.gone and not request.refs:
            # A server that has lost everything for a moment must not take everything down.
            return SweepLook(
                url=way.url,
                reason="RepositoryEmpty",
                message="The repository has no refs at all; nothing is ended.",
            )
        wanted, seen = await self._sorted(request, way, kept, found.missed)
        if seen or not (kept.swept or request.refs):
            await self._record(request, seen)
        gone = dict(list(found.gone.items())[:AT_ONCE])
        log.info(
            "swept",
            repository=request.repository,
            because=request.because,
            refs=len(heads),
            missed=len(wanted),
            gone=len(found.gone),
            recorded=len(seen),
        )
        return SweepLook(
            url=way.url,
            missed=tuple(wanted[:AT_ONCE]),
            gone=gone,
            more=len(wanted) > AT_ONCE or len(found.gone) > len(gone),
            recorded=len(seen),
            refs=len(heads),
        )

    @activity.defn(name="sweeps.standing")
    async def standing(self, question: StandingQuestion) -> StandingAnswer:
        """How a Delivery stands that has the id of one that was missed.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        try:
            handle = self._client.get_workflow_handle(question.workflow)
            described = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
            if described.status == WorkflowExecutionStatus.RUNNING:
                return StandingAnswer(standing="open")
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                message = f"{question.workflow} could not be asked: {error}."
                raise InfrastructureFailure("TemporalUnavailable", message) from error
        asked = LedgerQuestion(repository=question.repository, refs=(question.ref,))
        entry = (await self._ledgers.read(asked)).refs.get(question.ref)
        handled = entry is not None and entry.commit == question.commit
        return StandingAnswer(standing="handled" if handled else "ended")

    async def _is_known(self, request: SweepRequest) -> bool:
        if request.provider in NO_OCCASION:
            return False
        asked = LedgerQuestion(repository=request.repository, delivery=request.delivery)
        return (await self._ledgers.read(asked)).delivered

    async def _heads(self, repository: str) -> tuple[_Way, dict[str, str]]:
        refused: Failure | None = None
        for way in await self._ways(repository):
            try:
                return way, await self._source.heads(way.url, way.namespace, way.secret)
            except (UserFailure, NotFound) as failure:
                if failure.reason not in NO_ACCESS:
                    raise
                refused = refused or failure
        raise refused or NotFound(
            "UnknownRepository", f"No component or Repository names {repository} (any more); apply one."
        )

    async def _ways(self, repository: str) -> list[_Way]:
        """How the repository may be read: as its Repository objects say, and as its components do."""
        found: dict[_Way, None] = {}
        for declared in await self._repositories.every("", repository):
            secret = declared.spec.credentials.secret_ref.name if declared.spec.credentials else ""
            found[_Way(declared.spec.url, declared.metadata.namespace, secret)] = None
        if any(way.secret for way in found):
            return list(found)
        for component in await self._resources.built_from(repository):
            source = component.source
            if source is not None:
                found[_Way(source.url, component.key.namespace, source.secret)] = None
        # Those with credentials first.
        return sorted(found, key=lambda way: not way.secret)

    async def _sorted(
        self, request: SweepRequest, way: _Way, kept: LedgerState, missed: Sequence[Missed]
    ) -> tuple[list[Missed], list[Missed]]:
        """Those that are to be handled, and those that are only put down."""
        if not missed:
            return [], []
        components = await self._resources.built_from(request.repository)
        wanted: list[Missed] = []
        seen: list[Missed] = []
        for each in missed:
            if each.ref <= request.after:
                continue
            push = Push(repository=request.repository, url=way.url, ref=each.ref, after=each.commit)
            following = self._resources.following(components, push)
            # What a sender has announced is no news, whenever this repository is seen first.
            first = each.since is None and not kept.swept and not request.refs
            if following and (not first or await self._never_built(each.ref, following)):
                wanted.append(each)
            else:
                seen.append(each)
        return wanted, seen

    async def _never_built(self, ref: str, following: Sequence[Component]) -> bool:
        """Whether somebody who follows this branch has neither a release nor ever anything under way."""
        if not branch_of(ref):
            return False
        for component in following:
            if await self._resources.releases(component.key):
                continue
            query = f"TowpathComponent = '{component.key}' AND WorkflowType IN ('Delivery', 'Build')"
            try:
                if not (await self._client.count_workflows(query, rpc_timeout=_RPC_TIMEOUT)).count:
                    return True
            except RPCError as error:
                message = f"Runs of {component.key} could not be counted: {error}."
                raise InfrastructureFailure("TemporalUnavailable", message) from error
        return False

    async def _record(self, request: SweepRequest, seen: Sequence[Missed]) -> None:
        handlings = [
            Handling(
                ref=each.ref,
                commit=each.commit,
                # Only this head was seen: what an announcement still on its way tells of is looked at.
                base=each.since.base if each.since else each.commit,
                since=each.since.number if each.since else 0,
            )
            for each in seen
        ]
        last = not request.refs
        for start in range(0, max(1, len(handlings)), RECORDED_AT_ONCE):
            batch = tuple(handlings[start : start + RECORDED_AT_ONCE])
            end = start + RECORDED_AT_ONCE >= len(handlings)
            recording = Recording(handlings=batch, swept=last and end)
            await self._ledgers.record(RecordingRequest(repository=request.repository, recording=recording))
