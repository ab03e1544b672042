"""What Temporal's histories say about when things happened. All times are milliseconds since the epoch."""

from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client


@dataclass(frozen=True)
class Step:
    """One activity that has ended. `queued` is how long it waited for a worker."""

    name: str
    scheduled: float
    started: float
    ended: float

    @property
    def queued(self) -> float:
        """From scheduled to started."""
        return self.started - self.scheduled

    @property
    def took(self) -> float:
        """From started to ended."""
        return self.ended - self.started


class Timeline:
    """One run's history."""

    def __init__(self, events: list[HistoryEvent]) -> None:
        self._events = events

    @classmethod
    async def of(cls, client: Client, workflow: str) -> "Timeline":
        """The history of a workflow's newest run."""
        history = await client.get_workflow_handle(workflow).fetch_history()
        return cls(list(history.events))

    @property
    def began(self) -> float:
        """When the run was started."""
        return _at(self._events[0])

    @property
    def ended(self) -> float:
        """The last event."""
        return _at(self._events[-1])

    def steps(self, name: str = "") -> list[Step]:
        """Activities that have ended, in the order in which they were scheduled; local ones are not among them."""
        scheduled: dict[int, tuple[str, float]] = {}
        started: dict[int, float] = {}
        found = []
        for event in self._events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                activity = event.activity_task_scheduled_event_attributes.activity_type.name
                scheduled[event.event_id] = (activity, _at(event))
            elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started[event.activity_task_started_event_attributes.scheduled_event_id] = _at(event)
            elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                which = event.activity_task_completed_event_attributes.scheduled_event_id
                activity, when = scheduled[which]
                found.append(Step(activity, when, started[which], _at(event)))
        return [step for step in sorted(found, key=lambda step: step.scheduled) if name in ("", step.name)]

    def moments(self, kind: str) -> list[float]:
        """When events of a kind (`WORKFLOW_EXECUTION_UPDATE_ACCEPTED`) happened."""
        wanted = EventType.Value(f"EVENT_TYPE_{kind}")
        return [_at(event) for event in self._events if event.event_type == wanted]

    def told(self) -> list[str]:
        """Every event with its time since the first, for looking into where time goes."""
        return [
            f"{_at(event) - self.began:8.1f} ms  {EventType.Name(event.event_type)[11:]}" for event in self._events
        ]


def _at(event: HistoryEvent) -> float:
    return event.event_time.seconds * 1000 + event.event_time.nanos / 1e6
