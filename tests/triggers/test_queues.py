"""What people see of the queue before a build plane."""

from pathlib import Path

import pytest

from model import admission, ids
from model.build import BuildState
from model.build_queue import Entry, Limits, QueueState
from model.commit import Commit
from model.key import ComponentKey
from tests.triggers.serving import Parts, authorized, serving
from triggers.commandline.queueing import _table
from triggers.runs import Run

BUILD = "build/default/shop/" + "a" * 40 + "/1"
WAITS = "build/default/desk/" + "b" * 40 + "/2"
PREVIEW = "preview-build/default/desk/7/" + "c" * 40 + "/1"


def state() -> QueueState:
    made = QueueState(plane="default", limits=Limits(running=1), known=True)
    for build, priority in ((BUILD, "normal"), (PREVIEW, "low"), (WAITS, "urgent")):
        entry = Entry.model_validate(
            {
                "build": build,
                "project": "default/web",
                "line": build,
                "commit": "c",
                "sequence": 1,
                "priority": priority,
                "since": 100,
            }
        )
        admission.enter(made, entry)
        admission.fill(made, 100)
    return made


async def test_the_api_tells_who_builds_and_who_waits_in_their_turns(tmp_path: Path) -> None:
    parts = Parts()
    parts.runs.put(Run(ids.queue("default"), "RUNNING", started_at=1), view=admission.view(state(), 160))
    async with serving(parts, tmp_path) as client:
        answer = await client.get("/api/v1/queues/default", headers=authorized())
        assert answer.status_code == 200
        told = answer.json()
        assert [each["entry"]["build"] for each in told["running"]] == [BUILD]
        assert [(each["position"], each["entry"]["build"], each["reason"]) for each in told["waiting"]] == [
            (1, WAITS, "WaitsForPlane"),
            (2, PREVIEW, "WaitsForPlane"),
        ]
        assert (await client.get("/api/v1/queues/default")).status_code == 401
        assert (await client.get("/api/v1/queues/No.Plane!", headers=authorized())).status_code == 422


async def test_a_plane_that_nobody_has_built_on_has_an_empty_queue(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        told = (await client.get("/api/v1/queues/other", headers=authorized())).json()
        assert (told["plane"], told["running"], told["waiting"]) == ("other", [], [])


@pytest.mark.parametrize("wide", [False, True])
def test_the_table_says_who_is_next_and_why_they_wait(wide: bool) -> None:
    text = _table(admission.view(state(), 160), wide, now=160)
    lines = text.splitlines()
    assert lines[0] == "default: 1 of 1 run, 2 wait"
    assert lines[2].split()[:4] == ["runs", "default/shop", "aaaaaaa/1", "default/web"]
    assert lines[3].split()[:6] == ["1", "default/desk", "bbbbbbb/2", "default/web", "urgent", "60s"]
    assert lines[4].split()[:5] == ["2", "default/desk", "(7)", "ccccccc/1", "default/web"]
    assert "WaitsForPlane" in lines[3]
    assert ("1 builds run on plane default, of 1 at most." in text) == wide


async def test_a_waiting_build_is_shown_with_its_number_by_now(tmp_path: Path) -> None:
    parts = Parts()
    built = BuildState(
        workflow=WAITS,
        component=ComponentKey(name="desk"),
        commit=Commit(id="b" * 40, author="dev", author_email="dev@example.test", subject="s"),
        branch="main",
        number=2,
        phase="queued",
        reason="CountingBuilds",
        plane="default",
    )
    parts.runs.put(Run(WAITS, "RUNNING", started_at=100), state=built)
    parts.runs.put(Run(ids.queue("default"), "RUNNING", started_at=1), view=admission.view(state(), 160))
    async with serving(parts, tmp_path) as client:
        [told] = (await client.get("/api/v1/components/default/desk/builds", headers=authorized())).json()
        assert (told["phase"], told["reason"]) == ("queued", "WaitsForPlane")
        assert told["message"] == "Number 1 of 2 that wait. 1 builds run on plane default, of 1 at most."
