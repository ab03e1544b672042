"""Temporal Schedules, kept in step with what is declared."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from pydantic import BaseModel
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from model import ids
from model.failure import InfrastructureFailure

MEMO = "towpath"
_RPC_TIMEOUT = timedelta(seconds=8)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Planned:
    """What is to be started, and when.

    Args:
        workflow: name of the workflow's type.
        argument: its one argument.
        every: seconds between two runs; 0 where `crons` say when.
        crons: as Temporal reads them, each with its `CRON_TZ=`, or all in `zone`.
        zone: name of a time zone.
        jitter: seconds by which a run may be late, so that not all begin in the same one.
        catch_up: seconds for which a run that nobody could start is still made up for; at least ten.
        at_once: run it when it is new.
        note: what it is, for people.
        attributes: search attributes of the runs.
    """

    workflow: str
    argument: BaseModel
    every: float = 0
    crons: tuple[str, ...] = ()
    zone: str = ""
    jitter: float = 0
    catch_up: float = 60
    at_once: bool = False
    note: str = ""
    attributes: TypedSearchAttributes = TypedSearchAttributes.empty

    @property
    def mark(self) -> str:
        """What tells this plan from another; kept with the schedule, so that an unchanged one is left alone."""
        pairs = sorted((pair.key.name, str(pair.value)) for pair in self.attributes)
        said = (self.workflow, self.argument.model_dump_json(), self.every, self.crons, self.zone, self.jitter)
        return hashlib.sha256(repr((*said, self.catch_up, self.note, pairs)).encode()).hexdigest()[:16]


class Schedules:
    """Makes, changes and deletes schedules. Several processes may do so at once: it comes to the same."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def keep(self, prefix: str, wanted: Mapping[str, Planned]) -> None:
        """See to it that of the schedules whose ids begin with `prefix` exactly the wanted ones are there.

        A run that is due while the one before it is under way is left out.

        Args:
            prefix: of all ids that `wanted` may have, and of nobody else's.
            wanted: the plans by schedule id.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        try:
            present = await self._present(prefix)
            for name in sorted(present.keys() - wanted.keys()):
                await self._delete(name)
            for name, plan in sorted(wanted.items()):
                if present.get(name) != plan.mark:
                    await self._put(name, plan)
        except RPCError as error:
            message = f"The schedules of {prefix} could not be kept in step: {error}."
            raise InfrastructureFailure("TemporalUnavailable", message) from error

    async def _present(self, prefix: str) -> dict[str, str]:
        found: dict[str, str] = {}
        async for each in await self._client.list_schedules(rpc_timeout=_RPC_TIMEOUT):
            if each.id.startswith(prefix):
                memo = await each.memo()
                found[each.id] = str(memo.get(MEMO, ""))
        return found

    async def _put(self, name: str, plan: Planned) -> None:
        schedule = _schedule(name, plan)
        try:
            await self._client.create_schedule(
                name, schedule, memo={MEMO: plan.mark}, trigger_immediately=plan.at_once, rpc_timeout=_RPC_TIMEOUT
            )
            log.info("schedule made", schedule=name, workflow=plan.workflow)
            return
        except ScheduleAlreadyRunningError:
            # It says something else now, or a list that is behind did not show it.
            pass
        handle = self._client.get_schedule_handle(name)
        described = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
        if (await described.memo()).get(MEMO) == plan.mark:
            return
        # A schedule's memo cannot be changed: one that says something else is another.
        await self._delete(name)
        await self._client.create_schedule(name, schedule, memo={MEMO: plan.mark}, rpc_timeout=_RPC_TIMEOUT)
        log.info("schedule changed", schedule=name, workflow=plan.workflow)

    async def _delete(self, name: str) -> None:
        try:
            await self._client.get_schedule_handle(name).delete(rpc_timeout=_RPC_TIMEOUT)
            log.info("schedule deleted", schedule=name)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


def _schedule(name: str, plan: Planned) -> Schedule:
    action: ScheduleActionStartWorkflow = ScheduleActionStartWorkflow(
        plan.workflow,
        plan.argument,
        id=f"{name}/scheduled",
        task_queue=ids.CONTROL_QUEUE,
        typed_search_attributes=plan.attributes,
        static_summary=plan.note[:200] or None,
    )
    intervals = [ScheduleIntervalSpec(every=timedelta(seconds=plan.every))] if plan.every else []
    more: dict[str, Any] = {"jitter": timedelta(seconds=plan.jitter)} if plan.jitter else {}
    return Schedule(
        action=action,
        spec=ScheduleSpec(
            intervals=intervals, cron_expressions=list(plan.crons), time_zone_name=plan.zone, **more
        ),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=max(10, plan.catch_up))
        ),
        state=ScheduleState(note=plan.note[:200]),
    )
