"""Previews by hand: what people get from the API and the command line."""

import json
import time
from pathlib import Path

import httpx
import pytest

from model.commit import Commit
from model.failure import Conflict
from model.key import ComponentKey
from model.lane import Answer
from model.preview import PreviewOrder, PreviewState
from tests.triggers.fakes import COMMIT, URL, FakeLogs
from tests.triggers.serving import VIEWING, Parts, authorized, serving
from tests.triggers.test_commandline import Shell, assert_trouble, shell
from triggers.runs import Run

KEY = ComponentKey(name="hello-world")
WORKFLOW = "preview/default/hello-world/12"
BASE = "/api/v1/components/default/hello-world/previews"
__all__ = ["shell"]


@pytest.fixture
def parts() -> Parts:
    parts = Parts(logs=FakeLogs(ref=b"npm ci\n\x1b[2Jdone\n"))
    put(parts)
    return parts


def put(parts: Parts, phase: str = "ready", status: str = "RUNNING", **changed: object) -> None:
    state = PreviewState.model_validate(
        {
            "component": KEY,
            "change": "12",
            "phase": phase,
            "reason": "PreviewReady",
            "message": "http://10.0.0.7:3000/",
            "branch": "feature",
            "wanted": Commit(id=COMMIT, subject="Greet \x1b[31mdifferently"),
            "address": "http://10.0.0.7:3000/",
            "namespace": "dp-default-default-preview-12-hello-world-1",
            "opened_at": time.time() - 600,
            "expires_at": time.time() + 7200.5,
            **changed,
        }
    )
    parts.runs.put(Run(WORKFLOW, status, started_at=1), state=state)


def test_people_see_where_it_answers_and_how_long_it_lasts(shell: Shell) -> None:
    listed = shell.run("preview", "list", "hello-world")
    header, line = listed.stdout.splitlines()
    assert header.split() == ["CHANGE", "PHASE", "COMMIT", "BRANCH", "AGE", "ENDS", "IN", "ADDRESS"]
    assert line.split() == ["12", "ready", "1111111", "feature", "10m", "2h", "http://10.0.0.7:3000/"]
    shown = shell.run("preview", "status", "hello-world", "12")
    assert shown.exit_code == 0
    assert "preview 12: ready" in shown.stdout
    assert "\x1b" not in shown.stdout
    (found,) = json.loads(shell.run("preview", "list", "hello-world", "-o", "json").stdout)
    assert (found["environment"], found["commit"], found["workflow"]) == ("preview-12", COMMIT, WORKFLOW)


@pytest.mark.parametrize(
    ("phase", "code"), [("ready", 0), ("closed", 0), ("failed", 1), ("building", 3), ("waiting", 3)]
)
def test_scripts_learn_how_it_is(shell: Shell, phase: str, code: int) -> None:
    put(shell.parts, phase)
    assert shell.run("preview", "status", "hello-world", "12").exit_code == code


def test_it_is_opened_by_hand_from_a_branch(shell: Shell) -> None:
    result = shell.run("preview", "open", "hello-world", "my-idea", "--branch", "feature/idea")
    assert result.exit_code == 0, result.output
    ((workflow, asked),) = shell.parts.starter.changes.items()
    assert workflow.startswith("change/git.example%2Fteam%2Fhello-world/my-idea/")
    assert (asked.action, asked.branch, asked.head, asked.url) == ("open", "feature/idea", "", URL)
    assert (asked.components, asked.again, asked.actor.name) == ((KEY,), True, "Ada")


def test_it_is_extended_and_closed(shell: Shell) -> None:
    shell.parts.runs.answers["order"] = Answer(accepted=True, reason="Done", message="so be it")
    assert shell.run("preview", "extend", "hello-world", "12", "--for", "1d12h").exit_code == 0
    assert shell.run("preview", "close", "hello-world", "12", "--reason", "seen").exit_code == 0
    orders = [order for _, _, order in shell.parts.runs.updates.values()]
    assert all(isinstance(order, PreviewOrder) for order in orders)
    assert [(o.kind, o.seconds, o.reason) for o in orders if isinstance(o, PreviewOrder)] == [
        ("extend", 129_600, ""),
        ("close", 0, "seen"),
    ]


def test_the_log_of_its_build_is_printed(shell: Shell) -> None:
    put(shell.parts, log="ref")
    assert shell.run("preview", "logs", "hello-world", "12").stdout == "npm ci\n [2Jdone\n"
    put(shell.parts)
    assert_trouble(shell.run("preview", "logs", "hello-world", "12"), 1, "LogNotFound")


@pytest.mark.parametrize(
    "arguments",
    [
        ("close", "hello-world", "Not A Name"),
        ("extend", "hello-world", "12", "--for", "soon"),
        ("open", "hello-world", "12"),
    ],
)
def test_wrong_usage_ends_with_two(shell: Shell, arguments: tuple[str, ...]) -> None:
    assert shell.run("preview", *arguments).exit_code == 2


def test_what_is_not_there_is_said(shell: Shell) -> None:
    assert_trouble(shell.run("preview", "status", "hello-world", "99"), 1, "PreviewNotFound")
    assert_trouble(shell.run("preview", "close", "hello-world", "99"), 1, "PreviewNotFound")


async def test_whoever_may_only_look_changes_nothing(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        assert (await client.get(BASE, headers=authorized(VIEWING))).status_code == 200
        for what, body in (("open", {"branch": "x"}), ("close", {}), ("extend", {"seconds": 60})):
            answer = await client.post(f"{BASE}/12/{what}", json=body, headers=authorized(VIEWING))
            assert (answer.status_code, answer.json()["reason"]) == (403, "RoleMissing")
        assert (await client.get(BASE)).status_code == 401
    assert (parts.starter.changes, parts.runs.updates) == ({}, {})


async def test_the_same_call_twice_is_one(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        headers = {**authorized(), "Idempotency-Key": "once"}
        answers = [
            await client.post(f"{BASE}/12/open", json={"branch": "feature"}, headers=headers) for _ in range(2)
        ]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True]
    assert len(parts.starter.changes) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("12/open", {"branch": "--upload-pack"}, 400),
        ("12/open", {}, 422),
        ("12/open", {"branch": "x", "base": "y"}, 422),
        ("12/extend", {"seconds": 1}, 422),
        ("12/extend", {"seconds": 1e12}, 422),
        ("A..B/close", {}, 422),
    ],
)
async def test_bad_input_is_refused(parts: Parts, tmp_path: Path, path: str, body: object, status: int) -> None:
    async with serving(parts, tmp_path) as client:
        answer: httpx.Response = await client.post(f"{BASE}/{path}", json=body, headers=authorized())
    assert answer.status_code == status, answer.text
    assert (parts.starter.changes, parts.runs.updates) == ({}, {})


async def test_a_refusal_of_the_preview_comes_with_its_reason(parts: Parts, tmp_path: Path) -> None:
    parts.runs.refusals["order"] = Conflict("PreviewEnded", "It has ended: somebody closed it.")
    async with serving(parts, tmp_path) as client:
        answer = await client.post(f"{BASE}/12/close", json={}, headers=authorized())
    assert (answer.status_code, answer.json()["reason"]) == (409, "PreviewEnded")


async def test_one_that_cannot_answer_is_shown_by_what_temporal_keeps(parts: Parts, tmp_path: Path) -> None:
    parts.runs.states.clear()
    async with serving(parts, tmp_path) as client:
        (found,) = (await client.get(BASE, headers=authorized())).json()
    assert (found["change"], found["reason"], found["phase"]) == ("12", "NoAnswer", "running")
