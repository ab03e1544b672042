"""Parts are built once, and never half."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local import versions
from deploy.local.build import build, forget_unused
from deploy.local.catalogue import PARTS
from deploy.local.errors import BuildFailed
from deploy.local.estimate import seconds_left
from deploy.local.part import Part, Workbench
from deploy.local.progress import Quiet
from deploy.local.recipe import PARTS_FOLDER
from deploy.local.settings import Settings


@dataclass
class Writes:
    """A recipe that writes one file, or fails behind it."""

    text: str = "x"
    fails: bool = False
    made: list[str] = field(default_factory=list)

    def fingerprint(self) -> str:
        return self.text

    def make(self, bench: Workbench) -> None:
        self.made.append(bench.output.name)
        (bench.output / "out").write_text(self.text + "".join(sorted(bench.needs)))
        if self.fails:
            bench.run(["sh", "-c", "echo it went wrong >&2; exit 3"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", state=tmp_path / "state")


def part(recipe: Writes, *, name: str = "one", version: str = "1", needs: tuple[Part, ...] = ()) -> Part:
    return Part(name=name, version=version, recipe=recipe, outputs=("out",), needs=needs)


def test_an_unchanged_part_is_not_made_again(settings: Settings) -> None:
    recipe = Writes()
    build([part(recipe)], settings, Quiet())
    build([part(recipe)], settings, Quiet())
    assert len(recipe.made) == 1


@pytest.mark.parametrize(
    "other", [part(Writes(text="y")), part(Writes(), version="2"), part(Writes(), needs=(part(Writes()),))]
)
def test_a_change_of_recipe_version_or_needs_makes_it_anew(other: Part) -> None:
    assert part(Writes()).key() != other.key()


def test_a_failed_build_is_not_taken_for_done_and_tells_the_end_of_its_log(settings: Settings) -> None:
    failing = part(Writes(fails=True))
    with pytest.raises(BuildFailed, match="it went wrong") as failure:
        build([failing], settings, Quiet())
    assert failure.value.reason == "CommandFailed"
    assert not failing.is_built(settings)
    build([part(Writes())], settings, Quiet())
    assert failing.is_built(settings), "the same recipe, mended, fills the same place"


def test_a_part_that_makes_less_than_it_promises_fails(settings: Settings) -> None:
    lacking = Part(name="one", version="1", recipe=Writes(), outputs=("out", "more"))
    with pytest.raises(BuildFailed, match="OutputMissing"):
        build([lacking], settings, Quiet())


def test_needed_parts_are_made_first_and_handed_over(settings: Settings) -> None:
    first = part(Writes(), name="first")
    second = part(Writes(), name="second", needs=(first,))
    build([second, first], settings, Quiet())
    assert (second.folder(settings) / "out").read_text() == "xfirst"


def test_versions_agree_with_the_tools_modules() -> None:
    for module, line in {
        "kubernetes": f"k8s.io/kubernetes v{versions.KUBERNETES}",
        "etcd": f"go.etcd.io/etcd/server/v3 v{versions.ETCD}",
        "argo": f"github.com/argoproj/argo-workflows/v4 v{versions.ARGO_WORKFLOWS}",
        "cilium": f"github.com/cilium/cilium v{versions.CILIUM}",
        "coredns": f"github.com/coredns/coredns v{versions.COREDNS}",
        "argo-rollouts": f"github.com/argoproj/argo-rollouts v{versions.ARGO_ROLLOUTS}",
        "prometheus": f"github.com/prometheus/prometheus v{versions.PROMETHEUS}",
        "flux-source": f"github.com/fluxcd/source-controller v{versions.FLUX_SOURCE}",
        "gitea": f"code.gitea.io/gitea v{versions.GITEA}",
        "flux-kustomize": f"github.com/fluxcd/kustomize-controller v{versions.FLUX_KUSTOMIZE}",
    }.items():
        assert line in (PARTS_FOLDER / module / "go.mod").read_text()
    pom = (PARTS_FOLDER / "temporal-test-server" / "pom.xml").read_text()
    assert f"<version>{versions.TEMPORAL_TEST_SERVER}</version>" in pom


def test_names_of_parts_are_unique() -> None:
    assert len({each.name for each in PARTS}) == len(PARTS)


def test_parts_that_nobody_uses_any_more_are_deleted_in_the_end(settings: Settings) -> None:
    old, recent, used = (part(Writes(), version=version) for version in ("1", "2", "3"))
    build(
        [part(Writes(), name=str(n), version=each.version) for n, each in enumerate((old, recent))],
        settings,
        Quiet(),
    )
    build([used], settings, Quiet())
    for folder in (settings.cache / "parts").iterdir():
        if "-2-" not in folder.name:
            os.utime(folder, (0, 0))
    forget_unused([used], settings)
    assert sorted(folder.name.split("-")[1] for folder in (settings.cache / "parts").iterdir()) == ["2", "3"]


def test_a_slow_machine_is_told_more_time_left() -> None:
    assert seconds_left([], [(100, 40)], [50]) == pytest.approx(110)
    assert seconds_left([(10, 20)], [(100, 40)], [50]) == pytest.approx(260)
    assert seconds_left([], [(100, 200)], [50]) == pytest.approx(120), "overdue, and so will be the rest"
