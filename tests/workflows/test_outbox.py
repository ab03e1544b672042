"""An outbox over a scripted sink, in skipped time."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from model import ids
from model.cloudevent import CloudEvent
from model.outbox import Batch, OutboxState, Sent, Trouble
from model.subscription import SubscriptionKey
from workflows.outbox import Outbox


@dataclass
class Sink:
    """Takes events or not; remembers what arrived. `key` is whose it is."""

    key: SubscriptionKey = field(
        default_factory=lambda: SubscriptionKey(namespace="default", name=uuid.uuid4().hex[:8])
    )
    down: bool = False
    dying: int = 0
    gone: bool = False
    arrived: list[str] = field(default_factory=list)
    asked: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        """Of its outbox."""
        return ids.outbox(self.key.namespace, self.key.name)

    @activity.defn(name="sinks.deliver")
    async def deliver(self, batch: Batch) -> Sent:
        self.asked += 1
        self.news.set()
        if self.gone:
            return Sent(gone=True)
        if self.down:
            subjects = (events[0].subject for events in batch.events)
            return Sent(troubles=tuple(Trouble(subject=subject, message="down") for subject in subjects))
        sent = [event.id for events in batch.events for event in events]
        self.arrived += sent
        if self.dying:
            self.dying -= 1
            raise RuntimeError("it died after it had sent")
        return Sent(delivered=tuple(sent))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds after the sink was asked."""
        while not holds():
            await self.news.wait()
            self.news.clear()


def event(number: int, subject: str = "default/web") -> CloudEvent:
    return CloudEvent(id=f"{subject}#{number}", type="t", source="/towpath", subject=subject, time="now")


@asynccontextmanager
async def served(environment: WorkflowEnvironment, sink: Sink) -> AsyncIterator[None]:
    async with Worker(
        environment.client, task_queue=ids.CONTROL_QUEUE, workflows=[Outbox], activities=[sink.deliver]
    ):
        yield


async def put(environment: WorkflowEnvironment, sink: Sink, *events: CloudEvent) -> WorkflowHandle[Outbox, None]:
    return await environment.client.start_workflow(
        Outbox.run,
        OutboxState(subscription=sink.key),
        id=sink.id,
        task_queue=ids.CONTROL_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="put",
        start_signal_args=[list(events)],
    )


async def test_events_are_sent_in_order_and_each_once(temporal: WorkflowEnvironment) -> None:
    sink = Sink()
    async with served(temporal, sink):
        for number in range(20):
            await put(temporal, sink, event(number), event(number))
        await sink.until(lambda: len(sink.arrived) >= 20)
        await put(temporal, sink, event(3))
        handle = await put(temporal, sink, event(20))
        await sink.until(lambda: len(sink.arrived) >= 21)
        await handle.result()
    assert sink.arrived == [event(number).id for number in range(21)]


async def test_a_sink_that_comes_back_gets_everything_in_order(temporal: WorkflowEnvironment) -> None:
    sink = Sink(down=True)
    async with served(temporal, sink):
        handle = await put(temporal, sink, *(event(number) for number in range(8)), event(1, "default/api"))
        await sink.until(lambda: sink.asked >= 3)
        state = await handle.query(Outbox.state)
        assert state.error == "down"
        sink.down = False
        await temporal.sleep(timedelta(minutes=10))
        await sink.until(lambda: len(sink.arrived) >= 9)
    assert [each for each in sink.arrived if "web" in each] == [event(number).id for number in range(8)]


async def test_a_sink_that_stays_dead_is_given_up_after_a_day_and_stops_nobody(
    temporal: WorkflowEnvironment,
) -> None:
    sink = Sink(down=True)
    async with served(temporal, sink):
        handle = await put(temporal, sink, event(1))
        await temporal.sleep(timedelta(hours=25))
        state = await handle.query(Outbox.state)
        assert (state.lines, state.dropped) == ({}, 1)
        assert 100 < sink.asked < 400
        sink.down = False
        await put(temporal, sink, event(2))
        await sink.until(lambda: sink.arrived == [event(2).id])


async def test_a_worker_that_dies_after_sending_sends_the_same_event_again_and_loses_none(
    temporal: WorkflowEnvironment,
) -> None:
    sink = Sink(dying=1)
    async with served(temporal, sink):
        await put(temporal, sink, event(1), event(2))
        await sink.until(lambda: len(sink.arrived) >= 4)
    assert sink.arrived == [event(1).id, event(2).id] * 2


async def test_events_survive_that_no_worker_is_there(temporal: WorkflowEnvironment) -> None:
    sink = Sink()
    for number in range(3):
        await put(temporal, sink, event(number))
    async with served(temporal, sink):
        await sink.until(lambda: len(sink.arrived) >= 3)
    assert sink.arrived == [event(number).id for number in range(3)]


async def test_an_outbox_whose_subscription_is_gone_sends_nothing_more_and_ends(
    temporal: WorkflowEnvironment,
) -> None:
    sink = Sink(gone=True)
    async with served(temporal, sink):
        handle = await put(temporal, sink, event(1))
        await handle.result()
    assert sink.arrived == []
