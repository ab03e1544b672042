"""A change request on the real stack: shown in a namespace of its own, followed, and gone when it is closed."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.application import BUILD_SECONDS, ROLLOUT_SECONDS, Application
from tests.e2e.site import Site

CHANGE = "12"
PLACE = f"preview-{CHANGE}"
REMOVED_SECONDS = 90


@dataclass(frozen=True)
class Shown:
    """A preview as it was seen when a commit of it was ready: what is told of it, and what it answers."""

    view: dict[str, Any]
    answer: str
    namespace: dict[str, Any]
    objects: dict[str, list[str]]


@dataclass(frozen=True)
class Story:
    """Request 12 from its opening to its end."""

    app: Application
    base: str
    opened: Shown
    updated: Shown
    commits: tuple[str, str]
    closed: dict[str, Any]
    namespaces_after: list[str]
    late: httpx.Response


class Requester:
    """Announces what happens to a change request, as whoever keeps them does."""

    def __init__(self, site: Site, app: Application) -> None:
        self._site = site
        self._app = app

    def say(self, action: str, commit: str, base: str) -> httpx.Response:
        body = json.dumps(
            {
                "repository": {"url": self._app.url},
                "action": action,
                "change": CHANGE,
                "head": {"ref": "feature", "commit": commit},
                "base": {"ref": "main", "commit": base},
                "title": "Greet differently",
                "author": "ann",
            }
        ).encode()
        delivery = hashlib.sha256(body + action.encode()).hexdigest()
        return self._site.sender.send(body, {"X-Towpath-Event": "change", "X-Towpath-Delivery": delivery})


@pytest.fixture(scope="module")
def story(site: Site, application: Callable[..., Application]) -> Story:
    app = application(Application.hello, "previewed")
    for obj in app.objects:
        obj["metadata"]["annotations"] = {"towpath.dev/previews": "true", "towpath.dev/preview-ttl": "4h"}
    base = app.begin()
    app.healthy(base, "development")
    requester = Requester(site, app)
    app.repository.git("checkout", "--quiet", "-b", "feature")

    def push(subject: str) -> str:
        commit = app.commit(subject)
        app.repository.git("push", "--quiet", "origin", "HEAD:refs/heads/feature")
        return commit

    first = push("Greet differently")
    assert requester.say("opened", first, base).status_code == 202
    opened = _shown(site, app, first)
    second = push("Greet even more differently")
    assert requester.say("updated", second, base).status_code == 202
    updated = _shown(site, app, second)
    assert requester.say("closed", second, base).status_code == 202
    site.see.until("the end of the preview", REMOVED_SECONDS, lambda: _view(site, app)["phase"] == "closed")
    late = requester.say("updated", first, base)
    after = [name for name in site.data_namespaces() if "preview" in name]
    return Story(app, base, opened, updated, (first, second), _view(site, app), after, late)


def _view(site: Site, app: Application) -> dict[str, Any]:
    found = json.loads(site.towpath("preview", "list", app.key, "-o", "json"))
    return dict(next((each for each in found if each["change"] == CHANGE), {"phase": "", "commit": ""}))


def _shown(site: Site, app: Application, commit: str) -> Shown:
    """Wait until a commit is ready, and look at it from outside."""

    def look() -> dict[str, Any]:
        view = _view(site, app)
        assert view["phase"] != "failed", view
        return view if (view["phase"], view["commit"]) == ("ready", commit) else {}

    view = dict(site.see.until(f"the preview of {commit[:7]}", BUILD_SECONDS + ROLLOUT_SECONDS, look))
    namespace = view["namespace"]
    kinds = ("pod", "networkpolicy", "resourcequota", "limitrange")
    return Shown(
        view=view,
        answer=site.see.curl(view["address"]),
        namespace=json.loads(site.see.kubectl("get", "namespace", namespace, "-o", "json")),
        objects={
            kind: [obj["metadata"]["name"] for obj in site.see.objects(kind, f"--namespace={namespace}")]
            for kind in kinds
        },
    )


def test_a_request_is_shown_at_an_address_that_answers(story: Story) -> None:
    assert story.opened.answer == f"version 2 ({PLACE})"
    assert story.opened.view["branch"] == "feature"


def test_its_namespace_is_fenced_in_as_every_other(story: Story) -> None:
    labels = story.opened.namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["openchoreo.dev/environment"] == PLACE
    assert {"default-deny", "allow-dns"} <= set(story.opened.objects["networkpolicy"])
    assert story.opened.objects["resourcequota"] == ["towpath"]
    assert story.opened.objects["limitrange"] == ["towpath"]


def test_a_push_to_the_request_is_shown_in_the_same_namespace(story: Story) -> None:
    assert story.updated.answer == f"version 3 ({PLACE})"
    assert story.updated.view["namespace"] == story.opened.view["namespace"]
    assert story.updated.namespace["metadata"]["uid"] == story.opened.namespace["metadata"]["uid"]


def test_closing_it_leaves_nothing(site: Site, story: Story) -> None:
    assert story.closed["phase"] == "closed"
    assert story.namespaces_after == []
    pods = site.see.objects("pod", "-A", f"--selector=openchoreo.dev/environment={PLACE}")
    assert [pod for pod in pods if pod["metadata"]["labels"]["openchoreo.dev/namespace"] == site.namespace] == []


def test_an_event_that_comes_too_late_does_not_bring_it_back(site: Site, story: Story) -> None:
    assert story.late.status_code == 202
    site.see.until("the late event", 30, lambda: not site.runs.count(f"WorkflowId = '{_id(story)}' AND {OPEN}"))
    assert _view(site, story.app)["phase"] == "closed"
    assert [name for name in site.data_namespaces() if "preview" in name] == []


def test_the_components_own_branch_goes_its_own_way(site: Site, story: Story) -> None:
    """Neither its status, nor its builds, nor its environments, nor its releases speak of the request."""
    see, name = site.see, story.app.name
    assert {build["commit"] for build in see.component(name)["builds"]} == {story.base}
    history = see.lane(name, "development")["history"]
    assert {line["release"]["commit"]["id"] for line in history} == {story.base}
    kept = see.objects("componentreleases.openchoreo.dev", f"--namespace={site.namespace}")
    commits = {release["metadata"]["labels"].get("towpath.dev/commit") for release in kept}
    assert commits.isdisjoint(story.commits)


def test_people_find_it_in_temporal(site: Site, story: Story) -> None:
    mine = f"TowpathComponent = '{story.app.key}' AND TowpathEnvironment = '{PLACE}'"
    kinds = {run.partition("/")[0] for run in site.runs.found(mine)}
    assert kinds == {"preview", "preview-build", "rollout"}
    assert "closed" in site.runs.current_details(f"preview/{story.app.key}/{CHANGE}")


OPEN = "ExecutionStatus = 'Running'"


def _id(story: Story) -> str:
    return str(story.late.json()["workflow"])
