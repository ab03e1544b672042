"""A gate with several rules on the real cluster: each shown, each met by what it asks for, and then at once."""

import json
from collections.abc import Callable
from typing import Any

from tests.e2e.application import Application

GATE = "staging"
OPENED_SECONDS = 60
POLICY: dict[str, Any] = {
    "approvals": {"required": 1, "allowOwnCommit": True},
    "soak": "5s",
    "external": [
        {
            "name": "smoke",
            "job": {"command": ["node", "-e", "process.exit(0)"]},
            "timeout": "1m",
            "retryEvery": "10s",
        }
    ],
}


def requirements(app: Application) -> dict[str, dict[str, Any]]:
    """What `towpath explain` says of the release that waits; nothing while none does."""
    found = json.loads(app.site.towpath("explain", app.key, "-e", GATE, "-o", "json"))
    [waiting] = [one for one in found["releases"] if one["waiting"]] or [{}]
    return {item["kind"]: item for item in (waiting.get("gate") or {}).get("requirements", [])}


def test_a_release_goes_in_when_people_time_a_job_and_no_freeze_are_against_it(
    application: Callable[..., Application],
) -> None:
    app = application(Application.hello, "gated")
    policy = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": app.name},
        "spec": {"selector": {"component": app.name, "environment": GATE}, **POLICY},
    }
    app.objects.insert(0, policy)
    commit = app.begin()
    space = ("-n", app.site.namespace)
    until = "2027-12-31"
    app.site.towpath("freeze", *space, "-e", GATE, "--component", app.name, "--until", until, "--reason", "move")
    app.at_gate(commit, GATE)

    def frozen() -> dict[str, Any]:
        found = requirements(app)
        return found if {"approvals", "soak", "freeze", "external"} <= set(found) and found["soak"]["met"] else {}

    shown = app.site.see.until("a soak that has ended", OPENED_SECONDS, frozen)
    assert (shown["approvals"]["met"], shown["freeze"]["met"], shown["external"]["met"]) == (False, False, False)
    assert shown["freeze"]["reason"] == "Frozen"
    assert shown["approvals"]["source"] == f"PromotionPolicy {app.name}"
    assert "move" in shown["freeze"]["message"]
    [freeze] = json.loads(app.site.towpath("freezes", *space, "-o", "json"))
    assert shown["freeze"]["source"] == f"Freeze {freeze['name']}"

    app.site.towpath("approve", app.key, "-e", GATE, "--reason", "looks good")
    assert requirements(app)["approvals"]["met"]
    assert app.revisions(commit, GATE) == [], "it is frozen"

    app.site.towpath("unfreeze", freeze["name"], *space)
    assert app.healthy(commit, GATE)["result"] == "healthy"
    jobs = app.site.runs.count(f"WorkflowType = 'Rollout' AND TowpathComponent = '{app.key}'")
    assert jobs == 2, "one deployment in each of two environments"
    forecast = json.loads(app.site.towpath("explain", app.key, "-e", "production", "-o", "json"))
    rules = {rule["rule"]: rule for rule in forecast["rules"]}
    assert rules["approvals"] == {"rule": "approvals", "value": "1", "source": "default for production"}
