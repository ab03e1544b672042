"""Telling those who wait at gates that rules, freezes or other lanes have changed."""

import asyncio
import functools
from dataclasses import dataclass
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.informer import Informer, Object, Watching
from model import labels
from model.gate import Recheck

OPENCHOREO = "openchoreo.dev/v1alpha1"
TOWPATH = "towpath.dev/v1alpha1"
BINDING = "ReleaseBinding"
KINDS = (
    (TOWPATH, "PromotionPolicy"),
    (TOWPATH, "Freeze"),
    (OPENCHOREO, "DeploymentPipeline"),
    (OPENCHOREO, "Environment"),
    (OPENCHOREO, BINDING),
)
GATHER_SECONDS = 0.5
RETRY_SECONDS = 5.0
_RPC_TIMEOUT = timedelta(seconds=5)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Scope:
    """Whom a change concerns: a namespace, or for what runs somewhere, one project of it."""

    namespace: str
    project: str = ""
    component: str = ""
    kind: str = ""


class RuleWatch:
    """Follows what gates are made of, and has waiting promotions look again.

    What it misses (while no worker runs) they find by themselves: before they let anybody through, and once
    a day. Two workers tell twice, which does no harm.
    """

    def __init__(self, server: Watching, client: Client) -> None:
        self._client = client
        self._informers = [Informer(server, api_version, kind) for api_version, kind in KINDS]
        self._pending: set[_Scope] = set()
        self._news = asyncio.Event()
        for informer in self._informers:
            informer.listen(functools.partial(self._changed, informer))

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run())
            tasks.create_task(self._tell())

    async def synced(self) -> None:
        """Wait until everything there is has been read once: what changes from then on is told."""
        for informer in self._informers:
            await informer.synced.wait()

    def _changed(self, informer: Informer, before: Object | None, after: Object | None) -> None:
        # What is read at the start is no news.
        if not informer.synced.is_set() or _spec(before) == _spec(after):
            return
        obj = after or before or {}
        metadata = obj["metadata"]
        named = metadata.get("labels") or {}
        binding = informer.kind == BINDING
        self._pending.add(
            _Scope(
                namespace=metadata.get("namespace", ""),
                project=str(named.get(labels.PROJECT, "")) if binding else "",
                component=str(named.get(labels.COMPONENT, "")) if binding else "",
                kind=informer.kind,
            )
        )
        self._news.set()

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            scopes, self._pending = self._pending, set()
            for scope in scopes:
                try:
                    await self._tell_of(scope)
                except RPCError as error:
                    log.warning("gates not told", namespace=scope.namespace, status=error.status.name)
                    self._pending.add(scope)
            if self._pending:
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()

    async def _tell_of(self, scope: _Scope) -> None:
        of_namespace = f"WorkflowType = 'Promotion' AND TowpathComponent STARTS_WITH '{scope.namespace}/'"
        if scope.project:
            of_namespace += f" AND TowpathProject = '{scope.project}'"
        # Sets are few, and of several components: all of them look again.
        query = f"ExecutionStatus = 'Running' AND (({of_namespace}) OR WorkflowType = 'ReleaseSet')"
        asked = Recheck(reason=f"{scope.kind}Changed", component=scope.component)
        told = 0
        async for run in self._client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
            try:
                handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
                await handle.signal("recheck", asked, rpc_timeout=_RPC_TIMEOUT)
                told += 1
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
        log.info("gates told to look again", namespace=scope.namespace, because=scope.kind, told=told)


def _spec(obj: Object | None) -> object:
    return None if obj is None else obj.get("spec", {})
