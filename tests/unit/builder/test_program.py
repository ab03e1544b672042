"""The builder's program: plans, paths, registries, and how failures are told."""

import base64
import json
from pathlib import Path

import pytest

from deploy.builder import dockerfile
from deploy.builder.checkout import inside
from deploy.builder.command import CommandFailed, run
from deploy.builder.dependencies import install_npm
from deploy.builder.plan import Plan
from deploy.builder.refusal import MESSAGE_LIMIT, BuildInterrupted, BuildRefused


def plan(**changed: object) -> Plan:
    values = {"url": "https://git.example/a.git", "commit": "a" * 40, "ref": "refs/heads/main"}
    return Plan(**{**values, "kind": "dockerfile", "image": "registry:5000/a:b", **changed})  # type: ignore[arg-type]


def test_plan_of_a_newer_engine_is_read() -> None:
    text = json.dumps({**plan().__dict__, "added_later": 1})
    assert Plan.decode(base64.b64encode(text.encode()).decode()) == plan(insecure=[])


@pytest.mark.parametrize("text", ["", "not base64!", "e30=", "Nw=="])  # the last two are {} and 7
def test_broken_plan_is_the_engines_fault(text: str) -> None:
    with pytest.raises(BuildInterrupted) as caught:
        Plan.decode(text)
    assert caught.value.reason == "BadPlan"


@pytest.mark.parametrize("path", ["../up", "a/../../up", "link", "link/passwd", "/../etc"])
def test_paths_may_not_leave_the_clone(tmp_path: Path, path: str) -> None:
    root = tmp_path / "clone"
    (root / "a").mkdir(parents=True)
    (tmp_path / "up").mkdir()
    (root / "link").symlink_to("/etc")
    with pytest.raises(BuildRefused) as caught:
        inside(root, path, "build context")
    assert caught.value.reason == "PathEscapes"


def test_absent_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildRefused, match="no/such") as caught:
        inside(tmp_path, "no/such", "Dockerfile")
    assert caught.value.reason == "PathNotFound"


@pytest.mark.parametrize("path", [".", "./", "/", "a", "/a/", "./a"])
def test_paths_inside_are_found(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").mkdir()
    assert inside(tmp_path, path, "context") in (tmp_path.resolve(), (tmp_path / "a").resolve())


def test_hub_is_replaced_only_when_a_stand_in_is_named() -> None:
    assert "docker.io" not in dockerfile.registries(plan()).replace('search-registries = ["docker.io"]', "")
    text = dockerfile.registries(plan(hub="registry:5000/mirror/docker.io", insecure=("registry:5000",)))
    assert 'location = "registry:5000/mirror/docker.io"\ninsecure = true' in text


def test_failing_tool_keeps_its_last_words(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "echo one; echo 'fatal: two' >&2; exit 3"])
    assert caught.value.code == 3
    assert caught.value.tail == ("one", "fatal: two")
    assert "fatal: two" in capfd.readouterr().out


def test_message_is_one_short_line() -> None:
    refused = BuildRefused("NpmFailed", "a\nb\t" + "x" * 5000)
    assert "\n" not in refused.message
    assert len(refused.message) == MESSAGE_LIMIT
    assert str(refused).startswith("NpmFailed: a b x")


def test_no_dependencies_need_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package.json").write_text('{"devDependencies": {"left-pad": "1"}}')
    monkeypatch.setenv("PATH", "")
    install_npm(tmp_path, {})


def fake_npm(folder: Path, script: str) -> str:
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("says", "kind", "reason"),
    [
        ("npm ERR! code ETARGET\nnpm ERR! notarget No matching version", BuildRefused, "NpmFailed"),
        ("npm ERR! code ENOTFOUND\nnpm ERR! network request failed", BuildInterrupted, "PackagesUnreachable"),
    ],
)
def test_npm_failures_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, kind: type[BuildRefused], reason: str
) -> None:
    application = tmp_path / "application"
    application.mkdir()
    (application / "package.json").write_text('{"dependencies": {"left-pad": "1"}}')
    (application / "package-lock.json").write_text("{}")
    monkeypatch.setenv("PATH", fake_npm(tmp_path / "bin", f"cat <<'END'\n{says}\nEND\nexit 1"))
    with pytest.raises(BuildRefused) as caught:
        install_npm(application, {})
    assert type(caught.value) is kind
    assert caught.value.reason == reason
    assert caught.value.message == f"npm ci failed: {says.splitlines()[-1]}"
