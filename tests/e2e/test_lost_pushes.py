"""A sender that loses, doubles and delays what it tells, and parts that die meanwhile, on the whole real stack.

What must hold is what the faults promise: one intent for each accepted delivery, one deployment at a time, what
runs is a digest that was built, everything ends, and the newest commit is what serves.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from deploy.local import gitserver
from deploy.local.engine import worker_name
from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.site import Site

SETTLED_SECONDS = 240


@pytest.fixture(scope="module")
def app(application: Callable[..., Application]) -> Application:
    """A component whose first commit is healthy, and whose repository has been looked at once."""
    app = application(Application.hello, "lossy")
    app.healthy(app.begin(), "development")
    return app


@pytest.mark.alone
def test_pushes_lost_doubled_and_out_of_order_end_with_the_newest_commit_serving(
    site: Site, app: Application
) -> None:
    pushes = [app.push_unannounced(f"Push {number}") for number in range(5)]
    announced = [site.sender.push(app.url, after, before=before) for before, after in pushes]
    accepted = []
    # The first and the last are never told of; of the others the newest comes first, one of them three times.
    for body in (announced[3], announced[1], announced[2], announced[1], announced[1]):
        answer = site.sender.send(body)
        assert answer.status_code == 202, answer.text
        accepted.append(answer.json())
        if len(accepted) == 2:
            site.stack.kill(worker_name("control"))
            site.stack.restart(worker_name("control"))
    assert [answer["duplicate"] for answer in accepted] == [False, False, False, True, True]
    site.towpath("sweep", app.url, "--wait")
    newest = pushes[-1][1]
    revision = app.healthy(newest, "development")

    # I1 and I4: each accepted delivery is one run, and all of them come to an end.
    own = f"WorkflowId STARTS_WITH 'push/{quote(normalise(app.url), safe='')}/'"
    site.see.until(
        "the end of all deliveries",
        SETTLED_SECONDS,
        lambda: not site.runs.count(f"{own} AND ExecutionStatus = 'Running'"),
    )
    assert {answer["workflow"] for answer in accepted} <= set(site.runs.found(own))
    # I2: one deployment at a time, and automation never brought an older commit in after a newer one.
    assert app.overlaps("development") == []
    order = [after for _, after in pushes]
    deployed = [commit for commit in _deployed(app) if commit in order]
    assert [order.index(commit) for commit in deployed] == sorted(order.index(commit) for commit in deployed)
    # I3: what runs is the digest that was built of the newest commit, which was built once.
    digest = revision["release"]["image"]["digest"]
    releases = site.see.objects("componentreleases.openchoreo.dev", f"--namespace={site.namespace}")
    assert any(newest in str(release) and digest in str(release) for release in releases)
    assert app.image_ids("development") == {digest}
    assert len(app.workflows(newest)) == 1
    assert app.curl("development") == f"{app.version()} (development)"


@pytest.mark.alone
def test_while_the_git_host_is_away_pushes_are_taken_and_built_when_it_is_back(
    site: Site, app: Application
) -> None:
    before, after = app.push_unannounced("While nobody can read it")
    site.stack.kill(gitserver.NAME)
    try:
        answer = site.sender.send(site.sender.push(app.url, after, before=before))
        assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
        workflow = answer.json()["workflow"]
        tries = f"WorkflowId = '{workflow}' AND ExecutionStatus = 'Running'"
        site.see.until("the waiting delivery", 30, lambda: site.runs.count(tries))
        assert app.workflows(after) == []
    finally:
        site.stack.restart(gitserver.NAME)
    app.healthy(after, "development")
    assert len(app.workflows(after)) == 1


def _deployed(app: Application) -> list[str]:
    """The commits that were brought into development, in order."""
    history = app.site.see.lane(app.name, "development").get("history", [])
    ran = [line for line in history if line["result"] not in ("superseded", "refused")]
    return [line["release"]["commit"]["id"] for line in sorted(ran, key=lambda line: line["number"])]
