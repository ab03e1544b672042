"""A release that takes over step by step is taken back by what real parts say of it, or by a person."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from deploy.local.engine import worker_name
from tests.e2e.application import Application
from tests.e2e.site import Site

ENVIRONMENT = "development"
STEERED_SECONDS = 60
# As hello-world, and what Prometheus is told is what version.json says.
SERVER = """
const http = require("node:http");
const { greeting, errors } = require("./version.json");

http
  .createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    if (request.url === "/metrics") {
      response.end(`# TYPE hello_error_ratio gauge\\nhello_error_ratio ${errors || 0}\\n`);
    } else {
      response.end(request.url === "/healthz" ? "ok\\n" : `${greeting}\\n`);
    }
  })
  .listen(process.env.PORT);

process.on("SIGTERM", () => process.exit(0));
"""
CANARY: dict[str, Any] = {
    "strategy": {"canary": {"steps": [{"setWeight": 50}]}},
    "verification": {
        "prometheus": [
            {
                "name": "errors",
                "query": 'max(hello_error_ratio{namespace="{{namespace}}",release="{{release}}"})',
                "max": 0.05,
                "interval": "1s",
                "samples": 2,
                "failureLimit": 2,
                # A pod that has just come up is found and scraped within some seconds.
                "errorLimit": 30,
            }
        ]
    },
}
BLUE_GREEN: dict[str, Any] = {"strategy": {"blueGreen": {"autoPromote": False, "scaleDownDelay": "2s"}}}


def prepared(app: Application, rules: dict[str, Any]) -> str:
    """The first push of an application under a policy of its own, for one environment; the commit."""
    app.objects[0]["metadata"]["annotations"] = {"prometheus.io/scrape": "true"}
    app.objects.insert(
        0,
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "PromotionPolicy",
            "metadata": {"name": app.name},
            "spec": {"selector": {"component": app.name, "environment": ENVIRONMENT}, **rules},
        },
    )
    app.repository.write("server.js", SERVER)
    return app.begin()


def push(app: Application, greeting: str, errors: float = 0) -> str:
    app.repository.write("version.json", json.dumps({"greeting": greeting, "errors": errors}) + "\n")
    commit = app.repository.commit(greeting)
    app.repository.push()
    return commit


def rollout(app: Application) -> dict[str, Any]:
    """The Rollout object; there is one, and no Deployment beside it."""
    assert app.objects_in(ENVIRONMENT, "deployment") == []
    (found,) = app.objects_in(ENVIRONMENT, "rollouts.argoproj.io")
    return found


def asked_of_the_cluster(site: Site, app: Application, revision: dict[str, Any]) -> set[str]:
    """Which steerings the history of a revision's run holds."""
    history = site.runs.raw_history(f"rollout/{app.key}/{ENVIRONMENT}/{revision['number']}")
    return {name for name in ("progress.proceed", "progress.abort") if name.encode() in history}


def assert_runs(app: Application, release: dict[str, Any]) -> None:
    """The cluster, its declared state included, and the lane agree on what runs."""
    see, digest = app.site.see, release["image"]["digest"]
    assert app.running(ENVIRONMENT) == digest
    see.until("the pods of the one release", STEERED_SECONDS, lambda: app.image_ids(ENVIRONMENT) == {digest})
    found = rollout(app)
    assert found["spec"]["template"]["metadata"]["annotations"]["towpath.dev/commit"] == release["commit"]["id"]
    assert not found["status"].get("abort")
    assert found["status"]["stableRS"] == found["status"]["currentPodHash"]


def waits(app: Application) -> dict[str, Any]:
    """How far the component is, once it waits for a person at a stop."""

    def look() -> dict[str, Any]:
        progress = app.site.see.component(app.name).get("progress") or {}
        return progress if progress.get("reason") == "PausedForPerson" else {}

    return dict(app.site.see.until("the stop", STEERED_SECONDS, look))


class Begun(NamedTuple):
    """An application, the revision that is good, and the commit that is on its way after it."""

    app: Application
    good: dict[str, Any]
    second: str


@pytest.fixture(scope="module")
def apps(site: Site, application: Callable[..., Application]) -> tuple[Begun, Begun]:
    """The canary and the blue-green application, side by side."""
    missing = {"rollouts", "prometheus"} - set(site.settings.extras)
    assert not missing, f"bring them up: towpath local up --with {','.join(sorted(missing))}"
    canary, switch = (application(Application.hello, name) for name in ("canary", "switch"))
    first = prepared(canary, CANARY), prepared(switch, BLUE_GREEN)
    before = canary.healthy(first[0], ENVIRONMENT), switch.healthy(first[1], ENVIRONMENT)
    second = push(canary, "full of errors", errors=0.5), push(switch, "the other colour")
    return Begun(canary, before[0], second[0]), Begun(switch, before[1], second[1])


def test_a_canary_is_aborted_by_what_prometheus_says_of_it(site: Site, apps: tuple[Begun, Begun]) -> None:
    app, good, bad = apps[0]
    ended = app.settled(bad, ENVIRONMENT)
    assert (ended["result"], ended["verdict"]["reason"]) == ("rolled-back", "QueryFailed")
    assert "0.5" in ended["verdict"]["message"]
    assert_runs(app, good["release"])
    assert asked_of_the_cluster(site, app, ended) == {"progress.abort"}
    assert app.curl(ENVIRONMENT).startswith("version 1")


@pytest.mark.alone
def test_a_blue_green_release_is_looked_at_then_aborted_then_let_through(
    site: Site, apps: tuple[Begun, Begun]
) -> None:
    app, good, second = apps[1]
    own = site.see.address(app.name, ENVIRONMENT)
    waiting = waits(app)
    assert waiting["state"] == "waiting"
    assert f"towpath proceed {app.key}" in waiting["next"]
    assert site.see.curl(own).startswith("version 1")
    assert site.see.curl(preview(app)) == "the other colour"

    site.towpath("abort", app.key, "-e", ENVIRONMENT, "--reason", "the wrong blue")
    ended = app.settled(second, ENVIRONMENT)
    assert (ended["result"], ended["verdict"]["reason"]) == ("rolled-back", "AbortedByPerson")
    assert "the wrong blue" in ended["verdict"]["message"]
    assert_runs(app, good["release"])
    assert asked_of_the_cluster(site, app, ended) == {"progress.abort"}
    assert site.see.curl(own).startswith("version 1")

    site.towpath("deploy", app.key, "-e", ENVIRONMENT, "--release", second)
    site.see.until("the stop", STEERED_SECONDS, lambda: site.see.lane(app.name, ENVIRONMENT).get("pause"))
    # Whoever drives and whoever guards it die while it waits; it is as if nothing had happened.
    for worker in (worker_name("data"), worker_name("control")):
        site.stack.kill(worker)
        site.stack.restart(worker)
    assert site.see.curl(own).startswith("version 1")
    site.towpath("proceed", app.key, "-e", ENVIRONMENT)
    again = site.see.until(
        "the switch",
        STEERED_SECONDS,
        lambda: [r for r in app.revisions(second, ENVIRONMENT) if r["result"] == "healthy"],
    )[0]
    assert asked_of_the_cluster(site, app, again) == {"progress.proceed"}
    assert site.see.curl(own) == "the other colour"
    assert_runs(app, again["release"])


def preview(app: Application) -> str:
    """Where the release that stands beside the one with the traffic answers."""
    found = {service["metadata"]["name"]: service["spec"] for service in app.objects_in(ENVIRONMENT, "service")}
    spec = found[f"{app.name}-preview"]
    return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"
