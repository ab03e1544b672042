"""More builds than a project may have at once, on the real Argo: the rest are seen waiting, and all are built."""

import json
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest
import yaml

from deploy.demo.repository import Repository
from tests.e2e.application import DEMO
from tests.e2e.site import BUILD_PLANE, Site

PROJECT = "narrow"
LIMIT, BUILDS = 2, 6
SECONDS = 240
# Argo's times are whole seconds, and it takes a moment to see that a pod has ended.
BLUR_SECONDS = 2


@pytest.fixture(scope="module")
def components(site: Site) -> list[str]:
    """Six components of a project that may build two at once, each on a branch of its own; applied at once."""
    url = site.repository_url("narrow")
    names = [f"narrow-{number}" for number in range(BUILDS)]
    with closing(Repository(url)) as repository:
        repository.fill(DEMO / "apps" / "hello-world")
        repository.commit("Begin")
        repository.push()
        for name in names:
            repository.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    project = {"name": PROJECT, "annotations": {"towpath.dev/builds": str(LIMIT)}}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "openchoreo.dev/v1alpha1", "kind": "Project", "metadata": project, "spec": {}}
    ]
    objects += [_component(name, url) for name in names]
    text = yaml.safe_dump_all(objects)
    site.see.kubectl("apply", f"--namespace={site.namespace}", "--filename=-", stdin=text)
    return names


def _component(name: str, url: str) -> dict[str, Any]:
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {
            "owner": {"projectName": PROJECT},
            "componentType": {"kind": "ClusterComponentType", "name": "deployment/service"},
            "autoBuild": True,
            "autoDeploy": False,
            "workflow": {
                "kind": "ClusterWorkflow",
                "name": "nodejs-buildpack",
                "parameters": {"repository": {"url": url, "revision": {"branch": name}, "appPath": "."}},
            },
        },
    }


def test_no_more_of_a_project_build_at_once_than_it_may_and_the_rest_are_seen_waiting(
    site: Site, components: list[str]
) -> None:
    def waiting() -> list[dict[str, Any]]:
        queue = json.loads(site.towpath("queue", "-o", "json"))
        return [each for each in queue["waiting"] if each["entry"]["project"] == f"{site.namespace}/{PROJECT}"]

    seen = site.see.until("builds that wait", SECONDS, waiting)
    assert {each["reason"] for each in seen} == {"WaitsForProject"}
    assert f"of {LIMIT} at most" in seen[0]["message"]

    def ended() -> list[dict[str, Any]]:
        built = [_newest(site, name) for name in components]
        return built if all(build.get("phase") == "succeeded" for build in built) else []

    site.see.until("the end of all builds", SECONDS, ended)
    found = site.see.objects(
        "workflows.argoproj.io",
        f"--namespace={BUILD_PLANE}",
        f"--selector=openchoreo.dev/namespace={site.namespace},openchoreo.dev/project={PROJECT}",
    )
    assert len(found) == BUILDS
    spans = sorted(map(_span, found))
    for began, _ in spans:
        at_once = [span for span in spans if span[0] <= began < span[1] - BLUR_SECONDS]
        assert len(at_once) <= LIMIT, spans


def _newest(site: Site, name: str) -> dict[str, Any]:
    found = json.loads(site.towpath("builds", f"{site.namespace}/{name}", "-o", "json"))
    return found[0] if found else {}


def _span(workflow: dict[str, Any]) -> tuple[float, float]:
    """From when the object was made until its pod had ended."""
    pods = [node for node in workflow["status"]["nodes"].values() if node["type"] == "Pod"]
    ends = [_seconds(node["finishedAt"]) for node in pods]
    return _seconds(workflow["metadata"]["creationTimestamp"]), max(ends)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
