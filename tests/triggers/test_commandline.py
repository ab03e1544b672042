"""What people and scripts get on the command line: text, exit codes, and no traceback."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from typer.testing import CliRunner, Result

from model.actor import Actor
from model.delivery import DeliveredBuild, DeliveryState
from model.lane import Answer, LaneState, Revision
from model.promotion import StepState
from model.push import Push
from tests.triggers.fakes import COMMIT, FakeApiServer, FakeLogs, FakeReleases, component_object, release
from tests.triggers.serving import TOKEN, VIEWING, Parts
from tests.triggers.serving import build as application
from tests.triggers.test_api import AT_GATE, KEY, put_build, put_lane, put_promotion
from triggers.commandline import app
from triggers.commandline.client import Api
from triggers.runs import Run

NAME = "hello-world"


class Shell:
    """A terminal of somebody who talks to a real server over a socket."""

    def __init__(self, parts: Parts, address: str) -> None:
        self.parts = parts
        self.address = address

    def run(self, *arguments: str, token: str = TOKEN) -> Result:
        with httpx.Client(base_url=self.address, headers={"Authorization": f"Bearer {token}"}) as http:
            return CliRunner().invoke(app, arguments, obj=Api(http, pause=lambda _: None))


@pytest.fixture
def parts() -> Parts:
    status: dict[str, Any] = {
        "observedGeneration": 1,
        "stage": "production: at-gate",
        "environments": [
            {"name": "development", "release": "r-1", "commit": COMMIT, "health": "Healthy", "revision": 2},
            {"name": "production", "waitingRelease": "r-1", "waitingReason": "Waits for 1 more approval(s) of 1."},
        ],
    }
    return Parts(
        apiserver=FakeApiServer(component_object(**status)),
        releases=FakeReleases(release(1), release(2)),
        logs=FakeLogs(ref="Schritt 1: grün ist gut\n\x1b[2Jend\n".encode()),
    )


@pytest.fixture
def shell(parts: Parts, tmp_path: Path) -> Iterator[Shell]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(parts, tmp_path), log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while httpx.get(f"{address}/readyz", timeout=10).status_code != 200:
            pass
        yield Shell(parts, address)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def assert_trouble(result: Result, code: int, *texts: str) -> None:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    for text in texts:
        assert text in result.stderr


def test_status_shows_components_by_environments_and_why_one_waits(shell: Shell) -> None:
    result = shell.run("status")
    assert result.exit_code == 0
    header, line, _, why = result.stdout.splitlines()
    assert header.split() == ["COMPONENT", "STAGE", "BUILD", "DEVELOPMENT", "PRODUCTION"]
    assert "ok 1111111 r2" in line
    assert why == (
        "hello-world: production: Waits for 1 more approval(s) of 1. towpath approve hello-world -e production"
    )


@pytest.mark.parametrize(
    ("phase", "code", "text"),
    [("healthy", 0, "done:"), ("rolled-back", 1, "failed:"), ("at-gate", 3, "towpath approve")],
)
def test_waiting_ends_with_a_code_that_scripts_can_use(shell: Shell, phase: str, code: int, text: str) -> None:
    put_build(shell.parts, release=release(1).name)
    step = (
        AT_GATE if phase == "at-gate" else StepState.model_validate({"environment": "production", "phase": phase})
    )
    put_promotion(shell.parts, release(1), step)
    for arguments in (("status", NAME, "--wait"), ("status", NAME, "--wait", "--commit", COMMIT[:8])):
        result = shell.run(*arguments)
        assert (result.exit_code, text in result.stdout) == (code, True), result.output
    promoted = shell.run("promote", NAME, "--release", release(1).name, "--wait")
    assert (promoted.exit_code, text in promoted.stdout) == (code, True), promoted.output


@pytest.mark.parametrize(
    ("phase", "code", "text"),
    [("healthy", 0, "done"), ("rolled-back", 1, "rolled-back"), ("at-gate", 3, "towpath approve")],
)
def test_a_trigger_tells_how_far_it_comes_and_ends_with_a_code(
    shell: Shell, phase: str, code: int, text: str
) -> None:
    put_build(shell.parts, release=release(1).name)
    step = (
        AT_GATE if phase == "at-gate" else StepState.model_validate({"environment": "production", "phase": phase})
    )
    put_promotion(shell.parts, release(1), step)
    put_delivery(shell.parts, "nightly-7", outcome="Building", builds=[f"build/{KEY}/{COMMIT}/1"])
    result = shell.run("trigger", NAME, "--wait", "--key", "nightly-7")
    assert (result.exit_code, text in result.stdout) == (code, True), result.output
    lines = [line.split()[1] for line in result.stdout.splitlines()[:4]]
    assert lines == ["accepted", "source", "build", "production"]
    [push] = shell.parts.starter.started.values()
    assert push.delivery == "nightly-7"
    quiet = shell.run("trigger", NAME, "--wait", "--key", "nightly-7", "-o", "json")
    assert json.loads(quiet.stdout)["progress"]["state"] in ("done", "failed", "waiting")


def test_a_trigger_whose_source_cannot_be_read_fails_and_says_why(shell: Shell) -> None:
    put_delivery(shell.parts, "k", status="COMPLETED", outcome="RefNotFound", message="no refs/tags/v9")
    result = shell.run("trigger", NAME, "--tag", "v9", "--watch", "--key", "k")
    assert result.exit_code == 1
    assert "RefNotFound" in result.stderr
    assert "no refs/tags/v9" in result.stderr


def test_an_attempt_before_the_triggered_one_does_not_count(shell: Shell) -> None:
    put_build(shell.parts, phase="failed", number=1)
    put_delivery(shell.parts, "k", outcome="Building", builds=[f"build/{KEY}/{COMMIT}/2"])
    result = shell.run("trigger", NAME, "--wait", "--timeout", "0", "--key", "k")
    assert result.exit_code == 1
    assert "not listed yet" in result.stderr


def put_delivery(
    parts: Parts, request: str, status: str = "RUNNING", builds: list[str] | None = None, **state: Any
) -> None:
    push = Push(cause="trigger", repository="git.example/x", url="https://git.example/x", ref="refs/heads/main")
    delivered = [DeliveredBuild(component=KEY, workflow=workflow) for workflow in builds or []]
    found = DeliveryState(push=push, commit=COMMIT if builds else "", builds=delivered, **state)
    parts.runs.put(Run(f"trigger/{KEY}/{request}", status, started_at=1), state=found)


@pytest.fixture
def nightly(parts: Parts) -> Parts:
    [obj] = parts.apiserver.objects
    obj["metadata"]["annotations"] = {"towpath.dev/build-schedule": "CRON_TZ=Europe/Berlin 0 3 * * *"}
    return parts


def test_schedules_say_when_next_and_how_it_went(nightly: Parts, shell: Shell) -> None:
    parts = nightly
    parts.runs.times[f"timed-build/{KEY}"] = 1_800_000_000
    parts.runs.put(Run(f"timed-build/{KEY}/scheduled-1", "COMPLETED", started_at=1_700_000_000))
    found = json.loads(shell.run("schedules", "-o", "json").stdout)
    assert [(each["component"], each["next_at"], each["last"]) for each in found] == [
        (str(KEY), 1_800_000_000, "completed")
    ]
    line = shell.run("schedules").stdout.splitlines()[1]
    assert "CRON_TZ=Europe/Berlin 0 3 * * *" in line


def test_waiting_has_an_end(shell: Shell) -> None:
    put_build(shell.parts, phase="running")
    assert_trouble(shell.run("status", NAME, "--wait", "--timeout", "0"), 1, "Not done within 0 s", "running")


def test_a_server_away_for_a_moment_is_waited_for(shell: Shell) -> None:
    put_build(shell.parts, release=release(1).name)
    put_promotion(shell.parts, release(1), StepState(environment="production", phase="healthy"))
    shell.parts.runs.down = True

    def come_back(_: float) -> None:
        shell.parts.runs.down = False

    with httpx.Client(base_url=shell.address, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        result = CliRunner().invoke(app, ["status", NAME, "--wait"], obj=Api(http, pause=come_back))
    assert result.exit_code == 0, result.output
    assert "done:" in result.stdout


def test_rollback_waits_for_its_own_revision(shell: Shell) -> None:
    put_lane(shell.parts)
    shell.parts.runs.answers["order"] = Answer(accepted=True, reason="RollingBack", message="Going back.")

    def deploy(_: float) -> None:
        state = shell.parts.runs.states[f"lane/{KEY}/production", "state"]
        assert isinstance(state, LaneState)
        person = Actor(kind="person", name="Ada")
        result = next(results)
        entry = Revision(number=2, release=release(1), kind="rollback", actor=person, result=result, started_at=2)
        state.history = [state.history[0], entry]

    results = iter(("deploying", "healthy"))
    with httpx.Client(base_url=shell.address, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        arguments = ["rollback", NAME, "-e", "production", "--wait"]
        result = CliRunner().invoke(app, arguments, obj=Api(http, pause=deploy))
    assert result.exit_code == 0, result.output
    assert "revision 2: healthy" in result.stdout


def test_json_and_yaml_are_complete(shell: Shell) -> None:
    as_json = json.loads(shell.run("get", NAME, "-o", "json").stdout)
    assert (as_json["name"], as_json["progress"]["state"]) == (NAME, "idle")
    [as_yaml] = yaml.safe_load(shell.run("get", "-o", "yaml").stdout)
    assert as_yaml.items() <= as_json.items()
    wide = shell.run("get", "-o", "wide").stdout
    assert "https://git.example/team/hello-world.git" in wide


def test_releases_and_history_are_tables(shell: Shell) -> None:
    put_lane(shell.parts)
    releases = shell.run("releases", NAME).stdout.splitlines()
    assert [line.split()[0] for line in releases] == ["NAME", release(2).name, release(1).name]
    history = shell.run("history", NAME, "-e", "production").stdout.splitlines()
    assert history[1].split()[:2] == ["1", release(1).name]


def test_logs_are_printed_whole(shell: Shell) -> None:
    put_build(shell.parts, log="ref")
    result = shell.run("logs", NAME, "-f", "--build", COMMIT[:7])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Schritt 1: grün ist gut\n")
    assert result.stdout.endswith("end\n")


def test_following_a_failed_build_fails_with_its_reason(shell: Shell) -> None:
    put_build(shell.parts, phase="failed", log="ref", reason="NoStartCommand", message="Add a Procfile.")
    result = shell.run("logs", NAME, "-f")
    assert result.exit_code == 1
    assert "NoStartCommand" in result.stderr
    assert "Add a Procfile." in result.stderr


def test_cancel_and_retry_take_the_newest_build(shell: Shell) -> None:
    put_build(shell.parts, phase="running", number=1)
    assert shell.run("cancel", NAME).exit_code == 0
    assert shell.parts.runs.cancelled == [f"build/{KEY}/{COMMIT}/1"]
    put_build(shell.parts, phase="failed", number=1)
    result = shell.run("retry", NAME, "--build", COMMIT[:6])
    assert result.exit_code == 0, result.output
    assert f"build/{KEY}/{COMMIT}/2" in shell.parts.runs.started
    assert_trouble(shell.run("retry", NAME, "--build", "abcdef"), 1, "no build abcdef")
    assert_trouble(shell.run("retry", NAME, "--build", "not a commit"), 2, "COMMIT")


def test_approving_tells_what_was_approved_and_where(shell: Shell) -> None:
    put_lane(shell.parts, release(2))
    put_promotion(shell.parts, release(2), AT_GATE)
    result = shell.run("approve", NAME, "-e", "production", "--reason", "fine")
    assert result.exit_code == 0, result.output
    assert f"{release(2).name} -> production" in result.stdout
    assert "http://ui.example/" in result.stdout
    rejected = shell.run("reject", NAME, "-e", "production", "-o", "json")
    assert json.loads(rejected.stdout)["workflow"] == f"promotion/{KEY}/{release(2).name}"


def test_rollback_hold_resume_and_deploy_reach_the_lane(shell: Shell) -> None:
    put_lane(shell.parts)
    shell.parts.runs.answers["order"] = Answer(accepted=True, reason="Fine", message="Going back.", revision=1)
    assert "Going back." in shell.run("rollback", NAME, "-e", "production", "--to-revision", "1").stdout
    assert shell.run("hold", NAME, "-e", "production", "--reason", "inventory").exit_code == 0
    assert shell.run("resume", NAME, "-e", "production").exit_code == 0
    assert shell.run("deploy", NAME, "-e", "production", "--release", release(2).name).exit_code == 0
    assert [update[2].kind for update in shell.parts.runs.updates.values()] == [  # type: ignore[attr-defined]
        "rollback",
        "hold",
        "resume",
        "deploy",
    ]


def test_troubles_are_told_in_two_lines_without_a_traceback(shell: Shell) -> None:
    assert_trouble(shell.run("approve", NAME, "-e", "production"), 1, "LaneNotFound", "was never deployed")
    assert_trouble(shell.run("get", "nothing"), 1, "ComponentNotFound", "towpath get")
    assert_trouble(shell.run("get", token="wrong"), 1, "TokenUnknown")
    assert_trouble(shell.run("trigger", NAME, token=VIEWING), 1, "RoleMissing")
    shell.parts.runs.down = True
    assert_trouble(shell.run("builds", NAME), 1, "TemporalUnavailable")


@pytest.mark.parametrize(
    "arguments", [("get", "a/b/c"), ("status", "--wait"), ("approve", NAME), ("rollback", NAME), ("nonsense",)]
)
def test_wrong_usage_ends_with_two(arguments: tuple[str, ...]) -> None:
    assert_trouble(CliRunner().invoke(app, arguments), 2)


def test_an_unset_environment_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOWPATH_URL", raising=False)
    monkeypatch.delenv("TOWPATH_TOKEN", raising=False)
    assert_trouble(
        CliRunner().invoke(app, ["get"]), 2, "TOWPATH_URL and TOWPATH_TOKEN", 'eval "$(towpath local env)"'
    )


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWPATH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TOWPATH_TOKEN", "x")
    result = CliRunner().invoke(app, ["get"])
    assert_trouble(result, 1, "Cannot reach Towpath at http://127.0.0.1:9", "towpath local status")


def test_apply_without_kubectl_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_trouble(CliRunner().invoke(app, ["apply", "-f", "x.yaml"]), 1, "kubectl is not on the PATH")


def test_every_command_has_help_with_an_example() -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    mine = [name for name in names if name not in ("worker", "serve")]
    assert len(mine) >= 19
    for name in mine:
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0
        assert f"Examples: towpath {name}" in " ".join(result.stdout.split())
