"""How applications without a Dockerfile start."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.builder.refusal import BuildRefused
from deploy.builder.start import _words, start_command

PACKAGE = "package.json"


def made(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("runtime", "files", "expected"),
    [
        ("nodejs", {PACKAGE: '{"scripts":{"start":"node server.js"}}'}, ("node", "server.js")),
        ("nodejs", {PACKAGE: '{"scripts":{"start":"node a.js && x"}}'}, ("/bin/sh", "-c", "node a.js && x")),
        ("nodejs", {PACKAGE: '{"main":"lib/app.js"}', "lib/app.js": ""}, ("node", "lib/app.js")),
        ("nodejs", {PACKAGE: '{"main":"lib"}', "lib/index.js": ""}, ("node", "lib/index.js")),
        ("nodejs", {PACKAGE: "{}", "server.js": "", "index.js": ""}, ("node", "server.js")),
        ("nodejs", {"index.js": ""}, ("node", "index.js")),
        ("nodejs", {"Procfile": "web: node x.js\n", PACKAGE: '{"main":"y.js"}'}, ("node", "x.js")),
        ("nodejs", {"Procfile": "worker: a\r\nweb:  node $APP \r\n"}, ("/bin/sh", "-c", "node $APP")),
        ("python", {"main.py": "", "app.py": ""}, ("python3", "main.py")),
        ("python", {"app.py": ""}, ("python3", "app.py")),
        ("python", {"Procfile": "web: gunicorn app:app"}, ("gunicorn", "app:app")),
    ],
)
def test_start_follows_the_buildpacks_conventions(
    tmp_path: Path, runtime: str, files: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert start_command(made(tmp_path, files), runtime) == expected


@pytest.mark.parametrize(
    ("runtime", "files", "reason"),
    [
        ("nodejs", {}, "NoStartCommand"),
        ("nodejs", {PACKAGE: '{"main":"gone.js"}'}, "NoStartCommand"),
        ("nodejs", {PACKAGE: '{"scripts":{"start":"  "}}'}, "NoStartCommand"),
        ("python", {"server.js": ""}, "NoStartCommand"),
        ("nodejs", {PACKAGE: "{nonsense"}, "BadPackageJson"),
        ("nodejs", {PACKAGE: "[]"}, "BadPackageJson"),
        ("nodejs", {"Procfile": "worker: x"}, "BadProcfile"),
        ("cobol", {"main.py": ""}, "UnknownRuntime"),
    ],
)
def test_no_start_says_what_to_add(tmp_path: Path, runtime: str, files: dict[str, str], reason: str) -> None:
    with pytest.raises(BuildRefused) as caught:
        start_command(made(tmp_path, files), runtime)
    assert caught.value.reason == reason
    assert caught.value.exit_code == 10
    assert "\n" not in caught.value.message


def test_oversized_package_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildRefused) as caught:
        start_command(made(tmp_path, {PACKAGE: json.dumps({"x": "y" * 2_000_000})}), "nodejs")
    assert caught.value.reason == "FileUnreadable"


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda line: line.strip() == line))
def test_a_command_line_is_kept_whole(line: str) -> None:
    words = _words(line)
    assert words == ("/bin/sh", "-c", line) or " ".join(words).split() == line.split()
