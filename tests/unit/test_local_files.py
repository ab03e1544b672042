"""Small files of the local stack: image archives, versions of tools, settings, exports."""

import json
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.archive import write_image_archive
from deploy.local.configuration import write_text
from deploy.local.exports import exports
from deploy.local.prerequisites import parse_version
from deploy.local.settings import Settings


def test_an_image_archive_has_what_its_manifest_names_and_is_reproducible(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    for name in ("a.tar", "b.tar"):
        write_image_archive(tmp_path / name, name="towpath.local/x:1", files={"/bin/x": program})
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        manifest = json.loads(_content(archive, "manifest.json"))[0]
        assert manifest["RepoTags"] == ["towpath.local/x:1"]
        assert {manifest["Config"], *manifest["Layers"]} <= set(archive.getnames())
        assert json.loads(_content(archive, manifest["Config"]))["config"]["User"] == "65532:65532"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ('openjdk version "17.0.15" 2025-04-15', (17, 0, 15)),
        ('openjdk version "21" 2023-09-19', (21,)),
        ("no number", ()),
    ],
)
def test_versions_of_tools_are_read_from_what_they_print(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


def test_the_kind_of_cluster_is_remembered_for_later_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWPATH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TOWPATH_CACHE", str(tmp_path / "cache"))
    first = Settings.from_environment()
    assert first.makes_cluster
    replace(first, cluster="existing", bridge_address="192.0.2.7").remember()
    later = Settings.from_environment()
    assert not later.makes_cluster
    assert later.registry == "192.0.2.7:5000"
    assert later.kubeconfig.name == "existing.conf"


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = write_text(tmp_path / "deep" / "config", "a", mode=0o600)
    before = path.stat()
    write_text(path, "a", mode=0o600)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert stat.S_IMODE(before.st_mode) == 0o600


def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    first, second = exports(settings), exports(settings)
    assert first == second
    assert first["TOWPATH_TOKEN"] != first["TOWPATH_WEBHOOK_SECRET"]
    for path in settings.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
