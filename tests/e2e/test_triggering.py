"""What starts a build, on real parts: filters, messages, tags, and a job of another CI system."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model import ids
from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.site import Site
from tests.triggers.test_actions import github

FILTERS = "{tags: {versions: '>=1.2 <2'}, paths: {exclude: ['*.md']}}"


@dataclass
class Triggered:
    """One commit that was built, tagged and triggered again, and two that were not to be built."""

    app: Application
    first: str
    words: str
    skipped: str
    job: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def triggered(site: Site, application: Callable[..., Application], tmp_path_factory: Any) -> Triggered:
    app = application(Application.hello, "triggered")
    [component] = [obj for obj in app.objects if obj["kind"] == "Component"]
    component["metadata"].setdefault("annotations", {})["towpath.dev/filters"] = FILTERS
    component["spec"]["autoDeploy"] = False
    first = app.begin()
    app.built(first)
    app.repository.write("README.md", "words\n")
    words = app.repository.commit("Say something")
    app.repository.push()
    skipped = app.push("Bump\n\nBy a robot [skip ci]")
    app.repository.git("tag", "v1.2.3", first)
    app.repository.git("push", "--quiet", app.url, "refs/tags/v1.2.3")
    site.see.until("the release of v1.2.3", 60, lambda: releases(app, "app.kubernetes.io/version=1.2.3"))
    output: Path = tmp_path_factory.mktemp("action") / "output"
    inputs = {
        "url": site.environment["TOWPATH_URL"],
        "token": site.environment["TOWPATH_TOKEN"],
        "component": app.key,
        "tag": "v1.2.3",
        "commit": "",
        "timeout": "120",
    }
    return Triggered(app, first, words, skipped, github(inputs, output))


def releases(app: Application, selector: str) -> list[dict[str, Any]]:
    namespace = f"--namespace={app.site.namespace}"
    return app.site.see.objects("componentreleases.openchoreo.dev", namespace, f"--selector={selector}")


def outcome(app: Application, commit: str) -> str:
    """How the Delivery of a push has ended."""
    workflow = ids.push(normalise(app.url), "refs/heads/main", commit)

    def look() -> str:
        found = str(app.site.runs.state(workflow).get("outcome", ""))
        return "" if found in ("", "Accepted", "Building") else found

    return str(app.site.see.until(f"the end of {workflow}", 60, look))


def test_what_filters_and_messages_leave_out_is_not_built(triggered: Triggered) -> None:
    app = triggered.app
    assert outcome(app, triggered.words) == "NothingTouched"
    assert outcome(app, triggered.skipped) == "SkippedByMessage"
    assert app.workflows(triggered.words) == app.workflows(triggered.skipped) == []


def test_a_tag_names_the_release_of_what_was_built_before(triggered: Triggered) -> None:
    [release] = releases(triggered.app, "towpath.dev/tag=v1.2.3")
    assert release["metadata"]["labels"]["towpath.dev/commit"] == triggered.first


def test_a_job_of_another_ci_system_builds_it_again_and_ends_as_it_does(triggered: Triggered) -> None:
    job = triggered.job
    assert job.returncode == 0, job.stdout + job.stderr
    said = [line.split()[1] for line in job.stdout.splitlines()]
    assert (said[:2], said[-1]) == (["accepted", "source"], "done")
    assert triggered.first in job.stdout
    numbers = {obj["metadata"]["name"] for obj in triggered.app.workflows(triggered.first)}
    assert len(numbers) == 2, "the push's build, and the job's"
