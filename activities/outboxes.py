"""Putting CloudEvents into the outboxes of those who want them."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.subscribers import Subscribers
from model import ids, told_event
from model.cloudevent import CloudEvent
from model.failure import InfrastructureFailure
from model.note import Note
from model.outbox import OutboxState
from model.subscription import SubscriptionKey
from model.told_event import Announcement

_RPC_TIMEOUT = timedelta(seconds=5)


class Outboxes:
    """Signals outboxes, starting them where they do not run.

    Args:
        client: seals what it signals.
        subscribers: who wants what.
    """

    def __init__(self, client: Client, subscribers: Subscribers) -> None:
        self._client = client
        self._subscribers = subscribers

    @activity.defn(name="outboxes.publish")
    async def publish(self, announcement: Announcement) -> None:
        """Put what notes say into every outbox that wants it, and nowhere else; tried again it is the same.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`, `SubscriptionsUnread`.
        """
        await self._put_in(announcement.notes)

    async def announce(self, note: Note) -> None:
        """As `publish`, from within the activity that tells people of the note."""
        await self._put_in((note,))

    async def _put_in(self, notes: Iterable[Note]) -> None:
        info = activity.info()
        occasion = f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}"
        time = info.scheduled_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told = [event for note in notes for event in told_event.events(note, occasion, time)]
        wanted = self._subscribers.of(told)
        await asyncio.gather(*(self._put(key, events) for key, events in wanted.items()))

    async def _put(self, key: SubscriptionKey, events: tuple[CloudEvent, ...]) -> None:
        """One durable call for each subscriber, whether its outbox lives or not."""
        try:
            await self._client.start_workflow(
                "Outbox",
                OutboxState(subscription=key),
                id=ids.outbox(key.namespace, key.name),
                task_queue=ids.CONTROL_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                start_signal="put",
                start_signal_args=[list(events)],
                static_summary=f"CloudEvents for {key}",
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            raise InfrastructureFailure(
                "TemporalUnavailable", f"The outbox of {key} could not be told: {error.status.name}."
            ) from error


def moment(seconds: float) -> str:
    """A time for people, RFC 3339; empty for 0."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
