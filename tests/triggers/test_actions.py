"""Other CI systems trigger and wait: their very steps, run as they would be, against a server."""

import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from deploy.actions.__main__ import TEMPLATE, template
from model.promotion import StepState
from tests.triggers.fakes import COMMIT, FakeApiServer, FakeReleases, component_object, release
from tests.triggers.serving import TOKEN, Parts
from tests.triggers.serving import build as application
from tests.triggers.test_api import AT_GATE, KEY, put_build, put_promotion
from tests.triggers.test_commandline import put_delivery

ACTIONS = Path(__file__).parents[2] / "deploy" / "actions"
KEYS = {
    "github": "github-7-8-1-carry-__self",
    "gitlab": "gitlab-7-8",
}


@pytest.fixture
def parts() -> Parts:
    return Parts(
        apiserver=FakeApiServer(component_object(observedGeneration=1)), releases=FakeReleases(release(1))
    )


@pytest.fixture
def address(parts: Parts, tmp_path: Path) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(parts, tmp_path), log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    found = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while httpx.get(f"{found}/readyz", timeout=10).status_code != 200:
            pass
        yield found
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def github(inputs: dict[str, str], output: Path) -> subprocess.CompletedProcess[str]:
    """Run the action's steps as GitHub's runner does: expressions filled in, bash with `-e -o pipefail`."""
    action = yaml.safe_load((ACTIONS / "github" / "action.yml").read_text())
    context = {
        "github.sha": COMMIT,
        "github.repository_id": "7",
        "github.run_id": "8",
        "github.run_attempt": "1",
        "github.job": "carry",
        "github.action": "__self",
    }

    def fill(text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: context[found[1]], text)

    for name, declared in action["inputs"].items():
        assert name in inputs or not declared.get("required"), name
        context[f"inputs.{name}"] = inputs.get(name, fill(str(declared.get("default", ""))))
    [step] = action["runs"]["steps"]
    environment = {name: fill(text) for name, text in step["env"].items()}
    return run(
        step["run"], environment | {"GITHUB_ACTION_PATH": str(ACTIONS / "github"), "GITHUB_OUTPUT": str(output)}
    )


def gitlab(inputs: dict[str, str], output: Path) -> subprocess.CompletedProcess[str]:
    """Run the template's script as GitLab's runner does: variables expanded, the lines in one shell."""
    job = yaml.safe_load(TEMPLATE.read_text())[".towpath"]
    predefined = {"CI_COMMIT_SHA": COMMIT, "CI_PROJECT_ID": "7", "CI_JOB_ID": "8"}

    def expand(text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: predefined[found[1]], text)

    variables = {name: expand(text) for name, text in job["variables"].items()}
    given = {f"TOWPATH_{name.upper().replace('-', '_')}": text for name, text in inputs.items()}
    return run("\n".join(job["script"]), variables | given)


def run(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SYSTEMS = pytest.mark.parametrize("system", [github, gitlab])


@SYSTEMS
@pytest.mark.parametrize(
    ("phase", "at_gate", "code"),
    [
        ("healthy", "pass", 0),
        ("rolled-back", "pass", 1),
        ("at-gate", "pass", 0),
        ("at-gate", "fail", 1),
        ("at-gate", "exit", 3),
    ],
)
def test_the_job_ends_as_the_delivery_does(
    parts: Parts, address: str, tmp_path: Path, system: Any, phase: str, at_gate: str, code: int
) -> None:
    put_build(parts, release=release(1).name)
    step = (
        AT_GATE if phase == "at-gate" else StepState.model_validate({"environment": "production", "phase": phase})
    )
    put_promotion(parts, release(1), step)
    key = KEYS[system.__name__]
    put_delivery(parts, key, outcome="Building", builds=[f"build/{KEY}/{COMMIT}/1"])
    inputs = {"url": address, "token": TOKEN, "component": str(KEY), "at-gate": at_gate}
    done = system(inputs, tmp_path / "output")
    assert done.returncode == code, done.stdout + done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()][:4] == [
        *("accepted", "source", "build", "production"),
    ]
    [(workflow, push)] = parts.starter.started.items()
    assert (workflow, push.after) == (f"trigger/{KEY}/{key}", COMMIT)
    assert TOKEN not in done.stdout + done.stderr
    if system is github:
        assert f"commit={COMMIT}" in (tmp_path / "output").read_text()


@SYSTEMS
def test_what_a_webhook_has_announced_is_only_waited_for(
    parts: Parts, address: str, tmp_path: Path, system: Any
) -> None:
    put_build(parts, phase="failed")
    inputs = {"url": address, "token": TOKEN, "component": KEY.name, "trigger": "false"}
    done = system(inputs, tmp_path / "output")
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert not parts.starter.started


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"token": "wrong"}, 1, "401 TokenUnknown"),
        ({"component": "nobody"}, 1, "404 ComponentNotFound"),
        ({"component": "../x"}, 2, "TOWPATH_COMPONENT"),
        ({"url": "file:///etc/passwd"}, 2, "TOWPATH_URL"),
        ({"url": "http://127.0.0.1:1", "timeout": "0"}, 1, "cannot be asked"),
        ({"at-gate": "maybe"}, 2, "TOWPATH_AT_GATE"),
    ],
)
def test_what_cannot_be_done_fails_and_says_why(
    parts: Parts, address: str, tmp_path: Path, changed: dict[str, str], code: int, text: str
) -> None:
    inputs = {"url": address, "token": TOKEN, "component": KEY.name, **changed}
    done = github(inputs, tmp_path / "output")
    assert done.returncode == code, done.stdout + done.stderr
    assert text in done.stderr


def test_the_token_is_carried_to_no_other_host(tmp_path: Path) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{server.server_port}/stolen")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        done = github({"url": url, "token": TOKEN, "component": KEY.name}, tmp_path / "output")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert done.returncode == 1
    assert "307" in done.stderr
    assert asked == [f"/api/v1/components/{KEY}/trigger"]


def test_the_gitlab_template_holds_the_present_program() -> None:
    assert TEMPLATE.read_text() == template(), "python -m deploy.actions"
