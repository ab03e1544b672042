"""Steering a release that stands at a stop: through the API, and what people are shown of it."""

from pathlib import Path

import pytest

from model.actor import Actor
from model.failure import Conflict
from model.key import ComponentKey
from model.lane import Answer, LaneState, Revision
from model.note import EnvironmentNote
from model.pipeline import EnvironmentStep
from model.steer import Pause, Steer
from tests.triggers.fakes import release
from tests.triggers.serving import VIEWING, Parts, authorized, serving
from tests.triggers.test_webhooks import assert_problem
from triggers.commandline.picture import waiting_lines
from triggers.progress import paused
from triggers.runs import Run
from triggers.views import ComponentView, Progress

KEY = ComponentKey(name="hello-world")
LANE = "/api/v1/components/default/hello-world/lanes/production"
PAUSE = Pause(stop=1, stops=2, weight=20, reason="PausedForPerson", message="QueryPassed: all is quiet.")
NOTE = EnvironmentNote(name="production", health="Waiting", reason="PausedForPerson", message="all is quiet.")
MOVING = Progress(state="moving", reason="Promoting", message="production: deploying", environment="production")


def deploying(parts: Parts, number: int = 2) -> str:
    """A lane whose revision is under way, and the run that performs it."""
    history = [Revision(number=number, release=release(2), kind="deploy", actor=Actor(), started_at=1)]
    step = EnvironmentStep(environment="production")
    state = LaneState(step=step, current=release(1), history=history, deploying=number, pause=PAUSE)
    parts.runs.put(Run(f"lane/{KEY}/production", "RUNNING", started_at=1), state=state)
    workflow = f"rollout/{KEY}/production/{number}"
    parts.runs.put(Run(workflow, "RUNNING", started_at=1))
    return workflow


@pytest.mark.parametrize("kind", ["proceed", "abort"])
async def test_a_persons_word_reaches_the_deployment_under_way_once(tmp_path: Path, kind: str) -> None:
    parts = Parts()
    workflow = deploying(parts)
    parts.runs.answers["steer"] = Answer(accepted=True, reason="Done", message="It is done.")
    headers = {**authorized(), "Idempotency-Key": "once"}
    async with serving(parts, tmp_path) as client:
        answers = [await client.post(f"{LANE}/{kind}", headers=headers, json={"reason": "quiet"}) for _ in "ab"]
        lane = (await client.get(LANE, headers=authorized())).json()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["workflow"] == workflow
    [(addressed, name, said)] = parts.runs.updates.values()
    assert (addressed, name) == (workflow, "steer")
    assert isinstance(said, Steer)
    assert (said.id, said.kind, said.reason, said.actor.name) == ("once", kind, "quiet", "Ada")
    assert lane["pause"]["reason"] == "PausedForPerson"


async def test_what_cannot_be_steered_says_why(tmp_path: Path) -> None:
    parts = Parts()
    deploying(parts)
    parts.runs.refusals["steer"] = Conflict("NotWaiting", "It does not wait now.")
    async with serving(parts, tmp_path) as client:
        refused = await client.post(f"{LANE}/proceed", headers=authorized(), json={})
        del parts.runs.runs[f"rollout/{KEY}/production/2"]
        ended = await client.post(f"{LANE}/proceed", headers=authorized(), json={})
        nowhere = await client.post(LANE.replace("production", "moon") + "/abort", headers=authorized(), json={})
        forbidden = await client.post(f"{LANE}/abort", headers=authorized(VIEWING), json={})
    assert_problem(refused, 409, "NotWaiting")
    assert_problem(ended, 404, "NothingDeploying")
    assert_problem(nowhere, 404, "LaneNotFound")
    assert forbidden.status_code == 403


@pytest.mark.parametrize(
    ("found", "note", "state"),
    [
        (MOVING, NOTE, "waiting"),
        (MOVING, NOTE.model_copy(update={"reason": "PausedForTime"}), "moving"),
        (MOVING, NOTE.model_copy(update={"health": "Progressing"}), "moving"),
        (MOVING.model_copy(update={"state": "failed"}), NOTE, "failed"),
        (MOVING.model_copy(update={"environment": "staging"}), NOTE, "moving"),
    ],
)
def test_a_release_that_stands_at_a_stop_waits_and_says_for_what(
    found: Progress, note: EnvironmentNote, state: str
) -> None:
    seen = paused(KEY, found, [note])
    assert seen.state == state
    if seen.state == "waiting":
        assert seen.reason == "PausedForPerson"
        assert "towpath proceed default/hello-world -e production" in seen.next


def test_the_picture_names_the_commands() -> None:
    view = ComponentView(
        namespace="default", name="hello-world", project="default", api_version="choreo.dev/v1", uid="u",
        generation=1, environments=(NOTE,),
    )  # fmt: skip
    [line] = waiting_lines(view)
    assert "towpath proceed hello-world -e production, or towpath abort hello-world -e production" in line
