"""One durable call: what was announced becomes the workflow that takes care of it, or is known already."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from temporalio.client import Client
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from model import ids
from model.change_request import ChangeRequest
from model.comment import Comment
from model.event import Announced
from model.failure import InfrastructureFailure, UserFailure
from model.image_push import ImagePush
from model.poison import Poison
from model.push import Push
from model.ref_deleted import RefDeleted
from model.repository import branch_of
from model.sweep import SweepRequest
from triggers.signing import refuse_to_act
from workflows.attributes import attributes

Stored = Announced | Poison | SweepRequest
"""What is kept for good: what was announced, what could not be read, and that somebody has to look himself."""

KINDS: dict[type[Stored], str] = {
    Push: "Delivery",
    ChangeRequest: "ChangeDelivery",
    RefDeleted: "Deletion",
    Comment: "CommentDelivery",
    ImagePush: "ImageDelivery",
    Poison: "Poison",
    SweepRequest: "Sweep",
}
"""The workflow that takes care of each kind of event."""


@dataclass(frozen=True)
class Started:
    """The workflow's id, and whether it was there before this call."""

    workflow: str
    duplicate: bool


class Starter(Protocol):
    """Stores an event for good."""

    async def start(self, event: Stored, workflow: str) -> Started:
        """Start the workflow of this id for the event, once. When this returns, it cannot be lost any more.

        Raises:
            UserFailure: `EventRefused`, Temporal will never take it.
            InfrastructureFailure: `TemporalUnavailable`; whether it was stored is unknown, and asking again
                with the same id is safe.
        """
        ...


class TemporalStarter:
    """Starts workflows on the control queue; needs no worker alive. `seconds` bounds the whole call."""

    def __init__(self, client: Client, seconds: float = 5.0) -> None:
        self._client = client
        self._seconds = seconds

    async def start(self, event: Stored, workflow: str) -> Started:
        """As the Protocol says. Duplicates are refused by the server, running or closed: that is how they
        are told from new ones (USE_EXISTING would not tell)."""
        refuse_to_act()
        try:
            async with asyncio.timeout(self._seconds):
                await self._client.start_workflow(
                    KINDS[type(event)],
                    event,
                    id=workflow,
                    task_queue=ids.CONTROL_QUEUE,
                    id_reuse_policy=_reuse(event),
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    search_attributes=_found_by(event),
                    static_summary=_summary(event),
                    rpc_timeout=timedelta(seconds=self._seconds / 2),
                )
        except WorkflowAlreadyStartedError:
            return Started(workflow, duplicate=True)
        except (RPCError, TimeoutError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status == RPCStatusCode.INVALID_ARGUMENT:
                raise UserFailure("EventRefused", "Temporal does not take an event like this.") from error
            # A lazy client that cannot connect raises RuntimeError.
            raise InfrastructureFailure(
                "TemporalUnavailable", "Temporal did not take the event; send it again, twice is once."
            ) from error
        return Started(workflow, duplicate=False)


def workflow_of(event: Stored) -> str:
    """The id of the workflow that an event of a sender starts: the same for the same event."""
    match event:
        case Push():
            forced_from = event.before if event.forced else ""
            return ids.push(event.repository, event.ref, event.after, forced_from=forced_from)
        case ChangeRequest():
            return ids.change(event.repository, event.change, event.delivery)
        case RefDeleted():
            return ids.deleted(event.repository, event.ref, event.before, event.delivery)
        case Comment():
            return ids.comment(event.repository, event.change, event.comment)
        case ImagePush():
            return ids.image(event.repository, event.digest, event.tag, event.delivery)
        case Poison():
            return ids.poison(event.provider, event.digest)
        case SweepRequest():
            ref = event.refs[0] if len(event.refs) == 1 else ""
            return ids.sweep(event.repository, "/".join((event.because, *filter(None, (ref, event.delivery)))))


def _reuse(event: Stored) -> WorkflowIDReusePolicy:
    """An event acts once. A look is a question, and what was answered once may be asked again."""
    if isinstance(event, SweepRequest):
        return WorkflowIDReusePolicy.ALLOW_DUPLICATE
    return WorkflowIDReusePolicy.REJECT_DUPLICATE


def _found_by(event: Stored) -> TypedSearchAttributes:
    if isinstance(event, Poison):
        return attributes(stage="accepted")
    named = event.components if isinstance(event, Push | ChangeRequest) else ()
    commit = {Push: "after", ChangeRequest: "head", Comment: "head", RefDeleted: "before"}.get(type(event), "")
    return attributes(
        repository=event.repository,
        commit=getattr(event, commit) if commit else "",
        component=str(named[0]) if len(named) == 1 else "",
        stage="accepted",
    )


def _summary(event: Stored) -> str:
    """One line for Temporal's Web UI, at most 200 bytes (the server allows 400)."""
    match event:
        case Push():
            told = _push(event)
        case ChangeRequest():
            told = f"Change {event.change} of {event.repository}: {event.action}"
        case RefDeleted():
            told = f"{event.ref} of {event.repository} was deleted"
        case Comment():
            told = f"Comment on change {event.change} of {event.repository}"
        case ImagePush():
            told = f"Image {event.repository}:{event.tag or event.digest}"
        case Poison():
            told = f"Unreadable delivery of {event.provider}: {event.error} at {event.place}"
        case SweepRequest():
            told = f"A look at {event.refs[0] if len(event.refs) == 1 else 'the refs'} of {event.repository}"
    return told.encode()[:200].decode(errors="ignore")


def _push(push: Push) -> str:
    what = {
        "push": "Push to",
        "applied": "Manifest applied for",
        "trigger": "Triggered:",
        "sweep": "Found on",
        "schedule": "On schedule:",
    }
    subject = ", ".join(map(str, push.components)) or f"{branch_of(push.ref) or push.ref} of {push.repository}"
    commit = f" at {push.after[:7]}" if push.after else ""
    return f"{what[push.cause]} {subject}{commit}"
