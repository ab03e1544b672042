"""Requests of strangers on the real stack: nothing of theirs runs before a word on exactly one commit, and what
then runs has nothing worth having. And a release that is approved by a comment."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from deploy.demo.repository import Repository
from tests.e2e.application import BUILD_SECONDS, DEMO, ROLLOUT_SECONDS, Application
from tests.e2e.site import BUILD_PLANE, Site

SECRET = "pull-requests-source"
WORD_SECONDS = 30


@dataclass
class Requests:
    """Announces what happens to change requests, and what is said on them, as whoever keeps them does."""

    site: Site
    app: Application
    said: int = 0

    def change(self, action: str, number: str, branch: str, commit: str, author: str, fork: str = "") -> str:
        head = {"ref": branch, "commit": commit, **({"repository": {"url": fork}} if fork else {})}
        return self._send(
            "change",
            {
                "repository": {"url": self.app.url},
                "action": action,
                "change": number,
                "head": head,
                "base": {"ref": "main"},
                "title": "Greet differently",
                "author": author,
            },
        )

    def comment(self, number: str, body: str, who: str) -> dict[str, Any]:
        """Say something, and wait until something has come of it."""
        self.said += 1
        said = {"id": str(self.said), "body": body}
        workflow = self._send(
            "comment",
            {"repository": {"url": self.app.url}, "change": number, "comment": said, "actor": who},
        )

        def look() -> dict[str, Any]:
            found = self.site.runs.state(workflow)
            return found if found.get("outcome", "Accepted") != "Accepted" else {}

        return dict(self.site.see.until(f"what comes of {body!r}", WORD_SECONDS, look))

    def _send(self, event: str, content: dict[str, Any]) -> str:
        body = json.dumps(content).encode()
        delivery = hashlib.sha256(body + event.encode()).hexdigest()
        answer: httpx.Response = self.site.sender.send(
            body, {"X-Towpath-Event": event, "X-Towpath-Delivery": delivery}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workflow"])


@dataclass(frozen=True)
class Story:
    """Request 7 of a fork, and request 8 of the repository's own branch."""

    app: Application
    base: str
    asked: dict[str, Any]
    before: int
    refused: dict[str, Any]
    after_refusal: int
    allowed: dict[str, Any]
    shown: dict[str, Any]
    answer: str
    build: dict[str, Any]
    trusted_build: dict[str, Any]
    later: dict[str, Any]
    built_later: int


@pytest.fixture(scope="module")
def app(site: Site, application: Callable[..., Application]) -> Application:
    app = application(Application.hello, "asked")
    for obj in app.objects:
        obj["metadata"]["annotations"] = {"towpath.dev/previews": "true"}
    for namespace in (site.namespace, BUILD_PLANE):
        text = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{SECRET}-{site.namespace}", "namespace": namespace},
            "type": "kubernetes.io/basic-auth",
            "stringData": {"username": "robot", "password": "a-password-that-nobody-asks-for"},
        }
        site.see.kubectl("apply", "--filename=-", stdin=json.dumps(text))
    repository = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "asked", "namespace": site.namespace},
        "spec": {
            "url": app.url,
            "credentials": {"secretRef": {"name": f"{SECRET}-{site.namespace}"}},
            "pullRequests": {
                "trusted": ["ann", "rita"],
                "roles": {"release-manager": ["rita"]},
                "emails": {"rita": "rita@example.com"},
            },
        },
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "towpath-repository-secrets", "namespace": site.namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "towpath-repository-secrets",
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": name, "namespace": "towpath-control-plane"}
            for name in ("towpath-control", "towpath-server")
        ],
    }
    for obj in (binding, repository):
        site.see.kubectl("apply", "--filename=-", stdin=json.dumps(obj))
    return app


@pytest.fixture(scope="module")
def fork(site: Site, app: Application) -> Iterator[Repository]:
    with closing(Repository(site.repository_url("asked-fork"))) as fork:
        fork.fill(DEMO / "apps" / "hello-world")
        yield fork


@pytest.fixture(scope="module")
def requests(site: Site, app: Application) -> Requests:
    return Requests(site, app)


@pytest.fixture(scope="module")
def story(site: Site, app: Application, fork: Repository, requests: Requests) -> Story:
    base = app.begin()
    app.healthy(base, "development")

    def strangers(number: int) -> str:
        fork.write("version.json", json.dumps({"greeting": f"from a fork {number}", "healthy": True}) + "\n")
        commit = fork.commit(f"A stranger's commit {number}")
        fork.git("push", "--quiet", "origin", "HEAD:refs/heads/idea")
        return commit

    first = strangers(1)
    requests.change("opened", "7", "idea", first, "mallory", fork.url)
    asked = _until(site, app, "7", "awaiting")
    before = len(app.workflows(first))
    refused = requests.comment("7", f"/ok-to-test {first}", "mallory")
    after_refusal = len(app.workflows(first))
    allowed = requests.comment("7", f"Looks harmless.\n\n/ok-to-test {first}", "ann")
    shown = _until(site, app, "7", "ready")
    second = strangers(2)
    requests.change("updated", "7", "idea", second, "mallory", fork.url)

    def waits() -> dict[str, Any]:
        state = site.runs.state(f"preview/{app.key}/7")
        return state if state.get("asked") == second else {}

    later = dict(site.see.until("the question about the second commit", WORD_SECONDS, waits))
    return Story(
        app=app,
        base=base,
        asked=asked,
        before=before,
        refused=refused,
        after_refusal=after_refusal,
        allowed=allowed,
        shown=shown,
        answer=site.see.curl(shown["address"]),
        build=app.workflows(first)[0],
        trusted_build=app.workflows(base)[0],
        later=later,
        built_later=len(app.workflows(second)),
    )


def _until(site: Site, app: Application, change: str, phase: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        found = json.loads(site.towpath("preview", "list", app.key, "-o", "json"))
        view: dict[str, Any] = next((each for each in found if each["change"] == change), {})
        assert view.get("phase") != "failed", view
        return view if view.get("phase") == phase else {}

    return dict(site.see.until(f"preview {change} {phase}", BUILD_SECONDS + ROLLOUT_SECONDS, look))


def test_nothing_of_a_stranger_runs_before_somebody_has_said_so(story: Story) -> None:
    assert story.asked["reason"] == "AwaitingOkToTest"
    assert (story.before, story.after_refusal) == (0, 0)
    assert story.refused["outcome"] == "Refused"
    assert story.refused["results"][0]["reason"] == "NotAllowed"


def test_a_word_on_the_commit_shows_it(story: Story) -> None:
    assert story.allowed["outcome"] == "Done"
    assert story.answer == "from a fork 1 (preview-7)"


def test_what_a_stranger_wrote_is_built_without_secrets(site: Site, story: Story) -> None:
    def secrets(workflow: dict[str, Any]) -> list[str]:
        volumes = workflow["spec"].get("volumes", [])
        return [volume["secret"]["secretName"] for volume in volumes if "secret" in volume]

    assert secrets(story.trusted_build) == [f"{SECRET}-{site.namespace}"], "a trusted build fetches with them"
    assert secrets(story.build) == []
    assert story.build["metadata"]["labels"]["towpath.dev/trust"] == "untrusted"
    variables = {each["name"]: each["value"] for each in story.build["spec"]["templates"][0]["container"]["env"]}
    plan = json.loads(base64.b64decode(variables["TOWPATH_PLAN"]))
    assert plan["image"].startswith(f"{site.settings.registry}/untrusted/{site.namespace}/")
    assert "envFrom" not in story.build["spec"]["templates"][0]["container"]


def test_what_a_stranger_wrote_is_never_released(site: Site, story: Story) -> None:
    kept = site.see.objects("componentreleases.openchoreo.dev", f"--namespace={site.namespace}")
    mine = [each for each in kept if each["metadata"]["name"].startswith("asked-")]
    assert {each["metadata"]["labels"]["towpath.dev/commit"] for each in mine} == {story.base}


def test_the_next_commit_needs_another_word(story: Story) -> None:
    assert story.later["phase"] == "ready", "what was allowed before goes on"
    assert (story.later["awaiting"]["commit"]["id"], story.built_later) == (story.later["asked"], 0)


def test_a_comment_approves_the_release_of_its_request(site: Site, story: Story, requests: Requests) -> None:
    """Signed by the worker for rita, whose role the gate asks for and who did not write the commit."""
    app = story.app
    commit = app.commit("Greet on a branch of our own")
    app.repository.git("push", "--quiet", "origin", "HEAD:refs/heads/own")
    app.repository.push()
    app.building(commit)
    requests.change("opened", "8", "own", commit, "ann")
    app.at_gate(commit)
    _until(site, app, "8", "ready")
    assert len(app.workflows(commit)) == 1, "one build for the branch and the request"
    stranger = requests.comment("8", "/approve production", "mallory")
    assert stranger["results"][0]["reason"] == "RoleMissing"
    author = requests.comment("8", "/approve production", "ann")
    assert author["results"][0]["reason"] == "RoleMissing"
    done = requests.comment("8", "/approve production", "rita")
    assert done["results"][0]["accepted"], done
    app.healthy(commit, "production")
    [approval] = site.runs.state(_promotion(app, commit))["approvals"]
    assert (approval["actor"]["name"], approval["actor"]["roles"]) == ("git:rita", ["release-manager"])


def _promotion(app: Application, commit: str) -> str:
    mine = f"WorkflowType = 'Promotion' AND TowpathComponent = '{app.key}' AND TowpathCommit = '{commit}'"
    [workflow] = app.site.runs.found(mine)
    return str(workflow)
