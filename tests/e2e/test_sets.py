"""A release set on real parts: two services go in together, one crashes, and both are back as they were."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from model import names
from tests.e2e.application import Application
from tests.e2e.site import Site

ENVIRONMENT = "development"
PROJECT = "default"
SET_SECONDS = 120
MIGRATION = {
    "name": "migrate",
    "command": ["node", "-e", "console.log('migrated for ' + process.env.TOWPATH_RELEASE)"],
    "compensation": ["node", "-e", "console.log('taken back')"],
    "deadline": "1m",
}


@dataclass
class Sets:
    """Both applications, and what their sets came to: the first went in, the second failed."""

    api: Application
    web: Application
    first: dict[str, Any]
    before: dict[str, str]
    second: dict[str, Any]
    commits: dict[str, str]


def begin(app: Application, *rules: dict[str, Any]) -> str:
    """The first push; nothing is deployed by itself."""
    for obj in app.objects:
        obj["spec"]["autoDeploy"] = False
    app.objects[:0] = rules
    return app.begin()


def promote(site: Site, api: Application, web: Application, name: str) -> dict[str, Any]:
    """The newest releases of both as a set, the one that others need first; the set as it ended."""
    members = ("--component", api.name, "--component", web.name, "--order", f"{api.name},{web.name}")
    project = f"{site.namespace}/{PROJECT}"
    site.towpath("promote-set", project, *members, "-e", ENVIRONMENT, "--name", name)

    def look() -> dict[str, Any]:
        found = dict(json.loads(site.towpath("set", "status", project, name, "-o", "json")))
        return found if found["outcome"] else {}

    return dict(site.see.until(f"the end of set {name}", SET_SECONDS, look))


@pytest.fixture(scope="module")
def sets(site: Site, application: Callable[..., Application]) -> Sets:
    api, web = (application(Application.hello, name) for name in ("set-api", "set-web"))
    policy = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": "migrations"},
        "spec": {"selector": {"component": api.name}, "hooks": {"before": [MIGRATION]}},
    }
    firsts = {api: begin(api, policy), web: begin(web)}
    for app, commit in firsts.items():
        assert app.built(commit)["phase"] == "succeeded"
    first = promote(site, api, web, "first")
    before = {app.name: app.running(ENVIRONMENT) for app in (api, web)}
    commits = {api.name: api.push("Better"), web.name: web.push("Worse", crash=True)}
    for app in (api, web):
        assert app.built(commits[app.name])["phase"] == "succeeded"
    return Sets(api, web, first, before, promote(site, api, web, "second"), commits)


def test_a_set_goes_in_in_its_order(site: Site, sets: Sets) -> None:
    assert sets.first["outcome"] == "Arrived", sets.first["message"]
    api, web = (site.see.lane(app.name, ENVIRONMENT)["history"][0] for app in (sets.api, sets.web))
    assert api["finished_at"] <= web["started_at"]
    assert {api["result"], web["result"]} == {"healthy"}


def test_when_one_of_a_set_crashes_all_of_it_goes_back(site: Site, sets: Sets) -> None:
    assert sets.second["outcome"] == "RolledBack", sets.second["message"]
    (environment,) = [one for one in sets.second["environments"] if one["environment"] == ENVIRONMENT]
    phases = {name: member["phase"] for name, member in environment["members"].items()}
    assert phases == {sets.api.name: "restored", sets.web.name: "rolled-back"}
    for app in (sets.api, sets.web):
        assert app.running(ENVIRONMENT) == sets.before[app.name]
        assert app.image_ids(ENVIRONMENT) == {sets.before[app.name]}
        assert app.curl(ENVIRONMENT) == "version 1 (development)"
        assert app.overlaps(ENVIRONMENT) == []


def test_the_lane_was_healthy_with_the_new_release_before_it_went_back(site: Site, sets: Sets) -> None:
    history = site.see.lane(sets.api.name, ENVIRONMENT)["history"]
    assert [(line["kind"], line["result"]) for line in history] == [
        ("deploy", "healthy"), ("deploy", "healthy"), ("rollback", "healthy"),
    ]  # fmt: skip
    assert history[1]["release"]["commit"]["id"] == sets.commits[sets.api.name]
    assert "set second" in history[2]["reason"]
    assert "set-web" in history[2]["reason"]


def test_migrations_ran_once_a_revision_and_were_undone_on_the_way_back(site: Site, sets: Sets) -> None:
    namespace = names.data_namespace(site.namespace, PROJECT, ENVIRONMENT)
    jobs = site.see.objects("job", f"--namespace={namespace}", f"--selector=towpath.dev/job-of={sets.api.name}")
    called = sorted(job["metadata"]["name"] for job in jobs)
    assert [name.split("-api-")[1].rpartition("-")[0] for name in called] == ["migrate", "migrate", "undo-migrate"]
    assert all(job["status"].get("succeeded") == 1 for job in jobs)
    (undone,) = [job for job in jobs if "undo-migrate" in job["metadata"]["name"]]
    assert sets.commits[sets.api.name][:7] in undone["metadata"]["labels"]["towpath.dev/release"]


def test_temporal_and_events_tell_of_the_set(site: Site, sets: Sets) -> None:
    workflow = f"set/{site.namespace}/{PROJECT}/second"
    assert sets.second["workflow"] == workflow
    history = site.runs.raw_history(workflow)
    assert history.count(b'"kind":"restore"') >= 1
    assert "RolledBack" in site.runs.current_details(workflow)
    selector = f"--field-selector=involvedObject.name={sets.api.name}"
    told = {event["reason"] for event in site.see.objects("event", f"--namespace={site.namespace}", selector)}
    assert {"SetTakingBack", "SetTakenBack"} <= told
    shown = site.towpath("set", "status", f"{site.namespace}/{PROJECT}", "second")
    assert "restored" in shown
