"""What the local stack has besides its core."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploy.local import extras, prometheus
from deploy.local.catalogue import PARTS
from deploy.local.errors import StackError
from deploy.local.exports import exports
from deploy.local.settings import Settings
from deploy.local.stack import Stack


@pytest.mark.parametrize(
    ("asked", "running", "brought"),
    [
        ("", (), ()),
        ("prometheus", (), ("prometheus",)),
        (" prometheus , ", (), ("prometheus",)),
        ("", ("prometheus",), ("prometheus",)),
        ("all", (), tuple(extra.name for extra in extras.EXTRAS)),
    ],
)
def test_up_brings_what_is_asked_for_and_keeps_what_is_up(
    asked: str, running: tuple[str, ...], brought: tuple[str, ...]
) -> None:
    assert extras.chosen(asked, running) == brought


def test_an_unknown_extra_is_refused_with_those_there_are() -> None:
    with pytest.raises(StackError, match=r"grafana; there are: .*prometheus.* all"):
        extras.chosen("prometheus,grafana")


def test_extras_are_remembered_until_the_stack_goes_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWPATH_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TOWPATH_CACHE", str(tmp_path / "cache"))
    assert "TOWPATH_PROMETHEUS" not in exports(Settings.from_environment())
    replace(Settings.from_environment(), extras=("prometheus",)).remember()
    later = Settings.from_environment()
    assert later.extras == ("prometheus",)
    assert exports(later)["TOWPATH_PROMETHEUS"] == prometheus.url(later)


def test_nobody_builds_an_extra_that_was_not_asked_for(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    plain = {part.name for part in Stack(settings)._parts()}
    everything = Stack(replace(settings, extras=extras.chosen("all")))._parts()
    assert {part.name for part in PARTS} <= plain
    for extra in extras.EXTRAS:
        assert not plain & {part.name for part in extra.parts}
        assert set(extra.parts) <= set(everything)


def test_prometheus_may_read_pods_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state")
    documents = yaml.safe_load_all((prometheus.write_manifests(settings) / "account.yaml").read_text())
    rules = [rule for each in documents for rule in each.get("rules", [])]
    assert rules == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
