"""A push whose webhook was lost, on the running stack."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

from model.repository import normalise
from tests.e2e.application import Application


def test_a_push_that_nobody_announced_is_found_once_and_its_late_webhook_is_a_duplicate(
    application: Callable[..., Application],
) -> None:
    app = application(Application.hello, "swept")
    first = app.begin()
    app.built(first)
    before, lost = app.push_unannounced("Nobody tells")
    found = sweep(app)
    [push] = [each for each in found["found"] if each["found"] == "push"]
    assert (push["commit"], push["result"]) == (lost, "started")
    late = app.site.sender.send(app.site.sender.push(app.url, lost, before))
    assert (late.status_code, late.json()["duplicate"]) == (202, True)
    assert sweep(app)["outcome"] in ("NothingMissed", "Found")
    app.built(lost)
    assert sweep(app)["outcome"] == "NothingMissed"
    assert len(app.workflows(lost)) == 1
    told = json.loads(app.site.see.kubectl("get", "events", "--output=json", f"--namespace={app.site.namespace}"))
    own = [each["reason"] for each in told["items"] if each["involvedObject"]["name"] == app.name]
    assert own.count("MissedPushFound") == 1
    assert normalise(app.url) == found["repository"]


def sweep(app: Application) -> dict[str, Any]:
    """`towpath sweep`, as a person has it."""
    argv = ["towpath", "sweep", app.url, "--wait", "--output", "json"]
    done = subprocess.run(argv, env=app.site.environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))
