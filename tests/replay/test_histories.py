"""Old histories replay on today's workflows; what does not would stop running pipelines at an upgrade."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from model.failure import Failure
from tests.replay.record import TYPES
from worker.planes import WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def replayer() -> Replayer:
    return Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_failure_exception_types=[Failure],
    )


def load(path: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(path.read_text())
    return recorded


def history(recorded: dict[str, Any]) -> WorkflowHistory:
    return WorkflowHistory.from_json(recorded["workflowId"], {"events": recorded["events"]})


def test_every_workflow_has_a_recorded_history() -> None:
    recorded = {path.name.partition("-")[0] for path in HISTORIES}
    assert {name.lower() for name in TYPES} <= recorded


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replayer().replay_workflow(history(load(path)))


SCHEDULED = ("ACTIVITY_TASK_SCHEDULED", "CHILD_WORKFLOW_EXECUTION_INITIATED", "UPSERT_WORKFLOW_SEARCH")


def schedules(path: Path) -> bool:
    """Whether the run did anything but listen."""
    return any(word in event["eventType"] for event in load(path)["events"] for word in SCHEDULED)


@pytest.mark.parametrize("path", [path for path in HISTORIES if schedules(path)], ids=lambda path: path.stem)
async def test_a_changed_order_of_commands_would_be_noticed(path: Path) -> None:
    """The proof that the test above can fail: take out the first thing that was scheduled."""
    recorded = load(path)
    position = next(
        at for at, event in enumerate(recorded["events"]) if any(word in event["eventType"] for word in SCHEDULED)
    )
    recorded["events"][position] = {
        **{key: recorded["events"][position][key] for key in ("eventId", "eventTime", "taskId")},
        "eventType": "EVENT_TYPE_TIMER_STARTED",
        "timerStartedEventAttributes": {"timerId": "99", "startToFireTimeout": "1s"},
    }
    with pytest.raises(Exception, match=r"(?i)nondeterminism|TMPRL1100"):
        await replayer().replay_workflow(history(recorded))
