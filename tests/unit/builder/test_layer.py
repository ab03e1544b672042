"""Layers: what lies in an image, whose it is, and that the same files give the same layer."""

import os
import tarfile
from pathlib import Path

from deploy.builder.layer import write_layer


def files(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as opened:
        return {entry.name: entry for entry in opened}


def test_files_belong_to_root_and_only_root_may_write_them(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "run.sh").write_text("x")
    (source / "sub" / "run.sh").chmod(0o777)
    (source / "data").write_text("y")
    (source / "data").chmod(0o600)
    write_layer(tmp_path / "layer.tar.gz", source, "/app")
    found = files(tmp_path / "layer.tar.gz")
    assert sorted(found) == ["app", "app/data", "app/sub", "app/sub/run.sh"]
    assert {(entry.uid, entry.gid, entry.mtime) for entry in found.values()} == {(0, 0, 0)}
    assert {name: entry.mode for name, entry in found.items()} == {
        "app": 0o755,
        "app/data": 0o644,
        "app/sub": 0o755,
        "app/sub/run.sh": 0o755,
    }


def test_same_files_give_the_same_layer_whenever_written(tmp_path: Path) -> None:
    archives = []
    for number in range(2):
        source = tmp_path / f"source{number}"
        source.mkdir()
        for name in ("b", "a") if number else ("a", "b"):
            (source / name).write_text(name)
            os.utime(source / name, (number, number))
        archives.append(tmp_path / f"{number}.tar.gz")
        write_layer(archives[-1], source, "/opt/packages")
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_history_is_left_out_and_links_stay_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / ".git").mkdir(parents=True)
    (source / ".git" / "config").write_text("secret")
    (source / "link").symlink_to("/etc/passwd")
    write_layer(tmp_path / "layer.tar.gz", source, "/app")
    found = files(tmp_path / "layer.tar.gz")
    assert sorted(found) == ["app", "app/link"]
    assert found["app/link"].issym()
