"""One durable call: a push becomes a Delivery, a change request's event a ChangeDelivery, or it turns out to be
known already."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from model import ids
from model.change_request import ChangeRequest
from model.failure import InfrastructureFailure
from model.push import Push
from model.repository import branch_of
from triggers.signing import refuse_to_act
from workflows.attributes import attributes


@dataclass(frozen=True)
class Started:
    """The Delivery's workflow id, and whether it was there before this call."""

    workflow: str
    duplicate: bool


class Starter(Protocol):
    """Stores a push for good."""

    async def start(self, push: Push, workflow: str) -> Started:
        """Start the Delivery of this id, once. When this returns, the push cannot be lost any more.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`; whether it was stored is unknown, and asking again
                with the same id is safe.
        """
        ...

    async def start_change(self, change: ChangeRequest, workflow: str) -> Started:
        """Start the ChangeDelivery of this id, once; durable as `start`.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        ...


class TemporalStarter:
    """Starts Deliveries on the control queue; needs no worker alive. `seconds` bounds the whole call."""

    def __init__(self, client: Client, seconds: float = 5.0) -> None:
        self._client = client
        self._seconds = seconds

    async def start(self, push: Push, workflow: str) -> Started:
        """As the Protocol says. Duplicates are refused by the server, running or closed: that is how they
        are told from new ones (USE_EXISTING would not tell)."""
        refuse_to_act()
        component = str(push.components[0]) if len(push.components) == 1 else ""
        found_by = attributes(repository=push.repository, commit=push.after, component=component, stage="accepted")
        return await self._start("Delivery", push, workflow, found_by, _summary(push))

    async def start_change(self, change: ChangeRequest, workflow: str) -> Started:
        """As the Protocol says."""
        refuse_to_act()
        component = str(change.components[0]) if len(change.components) == 1 else ""
        found_by = attributes(
            repository=change.repository, commit=change.head, component=component, stage="accepted"
        )
        summary = f"Change {change.change} of {change.repository}: {change.action}"
        return await self._start("ChangeDelivery", change, workflow, found_by, summary[:200])

    async def _start(
        self, kind: str, argument: BaseModel, workflow: str, found_by: TypedSearchAttributes, summary: str
    ) -> Started:
        try:
            async with asyncio.timeout(self._seconds):
                await self._client.start_workflow(
                    kind,
                    argument,
                    id=workflow,
                    task_queue=ids.CONTROL_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    search_attributes=found_by,
                    static_summary=summary,
                    rpc_timeout=timedelta(seconds=self._seconds / 2),
                )
        except WorkflowAlreadyStartedError:
            return Started(workflow, duplicate=True)
        except (RPCError, TimeoutError, RuntimeError) as error:
            # A lazy client that cannot connect raises RuntimeError.
            raise InfrastructureFailure(
                "TemporalUnavailable", "Temporal did not take the push; send it again, twice is once."
            ) from error
        return Started(workflow, duplicate=False)


def _summary(push: Push) -> str:
    """One line for Temporal's Web UI, at most 200 bytes (the server allows 400)."""
    what = {"push": "Push to", "applied": "Manifest applied for", "trigger": "Triggered:", "sweep": "Found on"}
    subject = ", ".join(map(str, push.components)) or f"{branch_of(push.ref)} of {push.repository}"
    commit = f" at {push.after[:7]}" if push.after else ""
    return f"{what[push.cause]} {subject}{commit}".encode()[:200].decode(errors="ignore")
