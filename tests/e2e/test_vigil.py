"""What turns bad after its promotion goes back by itself, and what nobody can tell waits for a person."""

import json
from collections.abc import Callable
from typing import Any

from tests.e2e.application import Application
from tests.e2e.site import Site

ENVIRONMENT = "development"
ALARM_SECONDS = 120
# As hello-world; what Prometheus is told turns bad when the process has run for so long.
SERVER = """
const http = require("node:http");
const { greeting, errors, after } = require("./version.json");

http
  .createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/plain" });
    if (request.url === "/metrics") {
      const ratio = process.uptime() > (after || 0) ? errors || 0 : 0;
      response.end(`# TYPE hello_error_ratio gauge\\nhello_error_ratio ${ratio}\\n`);
    } else {
      response.end(request.url === "/healthz" ? "ok\\n" : `${greeting}\\n`);
    }
  })
  .listen(process.env.PORT);

process.on("SIGTERM", () => process.exit(0));
"""
POLICY: dict[str, Any] = {
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
        ],
        "watchFor": "10m",
        "watchInterval": "1s",
    },
}


def prepared(app: Application) -> str:
    """The first push of the application under a policy of its own; the commit."""
    app.objects[0]["metadata"]["annotations"] = {"prometheus.io/scrape": "true"}
    policy = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": app.name},
        "spec": {"selector": {"component": app.name, "environment": ENVIRONMENT}, **POLICY},
    }
    app.objects.insert(0, policy)
    app.repository.write("server.js", SERVER)
    return app.begin()


def push(app: Application, greeting: str, errors: float | str, after: int = 0) -> str:
    """A commit whose process tells of so many errors after so many seconds."""
    app.repository.write(
        "version.json", json.dumps({"greeting": greeting, "errors": errors, "after": after}) + "\n"
    )
    commit = app.repository.commit(greeting)
    app.repository.push()
    return commit


def test_what_turns_bad_later_goes_back_and_what_nobody_can_tell_waits_for_a_person(
    site: Site, application: Callable[..., Application]
) -> None:
    assert "prometheus" in site.settings.extras, "bring it up: towpath local up --with prometheus"
    app = application(Application.hello, "watched")
    good = app.healthy(prepared(app), ENVIRONMENT)["release"]

    # Long enough to be found healthy, whatever the machine is doing.
    bad = push(app, "bad later", errors=0.5, after=30)
    revision = app.healthy(bad, ENVIRONMENT)

    def turned() -> dict[str, Any]:
        return next((line for line in app.revisions(bad, ENVIRONMENT) if line["result"] == "unhealthy"), {})

    ended = site.see.until("the alarm", ALARM_SECONDS, turned)
    assert ended["number"] == revision["number"]
    digest = good["image"]["digest"]
    site.see.until("the good release", ALARM_SECONDS, lambda: app.image_ids(ENVIRONMENT) == {digest})
    vigil = f"vigil/{app.key}/{ENVIRONMENT}/{revision['number']}"
    assert b"QueryFailed" in site.runs.raw_history(vigil)
    site.see.until("the way back", ALARM_SECONDS, lambda: app.running(ENVIRONMENT) == digest)

    unclear = push(app, "no number", errors="NaN")
    held = app.settled(unclear, ENVIRONMENT)
    assert (held["result"], held["verdict"]["reason"]) == ("inconclusive", "QueryInconclusive")
    assert "NaN" in held["verdict"]["message"]
    assert site.see.lane(app.name, ENVIRONMENT)["hold"]["revision"] == held["number"]
    assert app.running(ENVIRONMENT) == held["release"]["image"]["digest"], "it is left running"
    site.towpath("accept", app.key, "-e", ENVIRONMENT, "--reason", "it counts nothing yet")

    def accepted() -> bool:
        lane = site.see.lane(app.name, ENVIRONMENT)
        return bool(lane["hold"] is None and lane["last_good"]["commit"]["id"] == unclear)

    site.see.until("the accepted release", ALARM_SECONDS, accepted)
