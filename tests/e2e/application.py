"""A component of this session, with the repository that it is built from."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from deploy.demo import story
from deploy.demo.observer import NotInTime
from deploy.demo.repository import Repository
from tests.e2e.site import BUILD_PLANE, Site

DEMO = Path(story.__file__).parent
ENVIRONMENTS = ("development", "staging", "production")
BUILD_SECONDS = 90
ROLLOUT_SECONDS = 60


class Application:
    """Does what a developer does with one component, and looks at what has become of it.

    Args:
        site: where.
        name: of the component.
        app: folder of `deploy/demo/apps` that its repository starts with.
        manifest: of `deploy/demo/manifests`; the only component in it gets `name` and the repository.
    """

    def __init__(self, site: Site, name: str, app: str, manifest: str) -> None:
        self.site = site
        self.name = name
        self.key = f"{site.namespace}/{name}"
        self.url = site.repository_url(name)
        self.repository = Repository(self.url)
        self.repository.fill(DEMO / "apps" / app)
        self.objects = [self._own(obj) for obj in yaml.safe_load_all((DEMO / "manifests" / manifest).read_text())]
        self._version = 0
        self._applied = False

    @classmethod
    def hello(cls, site: Site, name: str = "hello-world") -> Application:
        """The FAQ's hello-world: Node.js without a Dockerfile."""
        return cls(site, name, "hello-world", "hello-world.yaml")

    @classmethod
    def greeting(cls, site: Site) -> Application:
        """OpenChoreo's form: project, environments, pipeline, and a component with a Dockerfile."""
        return cls(site, "greeting-service", "greeting", "greeting.yaml")

    def apply(self) -> None:
        """kubectl apply of the manifest."""
        self._applied = True
        text = yaml.safe_dump_all(self.objects)
        self.site.see.kubectl("apply", f"--namespace={self.site.namespace}", "--filename=-", stdin=text)

    def commit(self, subject: str, *, healthy: bool = True, crash: bool = False) -> str:
        """A commit of another version of hello-world; what it answers says which."""
        self._version += 1
        content = {"greeting": f"version {self._version}", "healthy": healthy, "crash": crash}
        self.repository.write("version.json", json.dumps(content) + "\n")
        return self.repository.commit(subject)

    def push(self, subject: str, *, healthy: bool = True, crash: bool = False) -> str:
        """Commit and push; the Git server announces it. Returns the commit."""
        commit = self.commit(subject, healthy=healthy, crash=crash)
        self.repository.push()
        return commit

    def push_unannounced(self, subject: str) -> tuple[str, str]:
        """Commit and push past the Git server, so that no webhook is sent; the commits before and after."""
        before = self.repository.git("rev-parse", "HEAD")
        after = self.commit(subject)
        bare = self.site.repositories / f"{self.name}.git"
        self.repository.git("push", "--quiet", str(bare), "HEAD:refs/heads/main")
        return before, after

    def begin(self) -> str:
        """The first push and the manifest; the commit."""
        commit = self.push("Begin")
        self.apply()
        return commit

    def building(self, commit: str) -> dict[str, Any]:
        """Wait until a commit's Argo Workflow is there; the object."""
        found = self.site.see.until(f"the build of {commit[:7]}", BUILD_SECONDS, lambda: self.workflows(commit))
        return dict(found[0])

    def built(self, commit: str) -> dict[str, Any]:
        """Wait for the end of a commit's build."""
        ended = ("succeeded", "failed", "cancelled", "superseded")

        def look() -> dict[str, Any]:
            build = self.site.see.build(self.name, commit)
            return build if build.get("phase") in ended else {}

        return dict(self.site.see.until(f"the end of the build of {commit[:7]}", BUILD_SECONDS, look))

    def settled(self, commit: str, environment: str = "development") -> dict[str, Any]:
        """Wait until a lane has come to an end with a commit; the revision.

        Raises:
            NotInTime: with how far its build is.
        """

        def look() -> dict[str, Any]:
            return next((line for line in self.revisions(commit, environment) if line["finished_at"]), {})

        what = f"{self.name} {commit[:7]} in {environment}"
        try:
            return dict(self.site.see.until(what, BUILD_SECONDS + ROLLOUT_SECONDS, look))
        except NotInTime as error:
            build = self.site.see.build(self.name, commit)
            raise NotInTime(f"{error}; build {build.get('phase')}: {build.get('message')}") from None

    def healthy(self, commit: str, environment: str) -> dict[str, Any]:
        """Wait until a commit is healthy in an environment; the revision. Fails when it ends otherwise."""
        revision = self.settled(commit, environment)
        assert revision["result"] == "healthy", f"{environment}: {revision['result']}: {revision['verdict']}"
        return revision

    def at_gate(self, commit: str, environment: str = "production") -> dict[str, Any]:
        """Wait until a commit stands before an environment's gate; the step."""

        def look() -> dict[str, Any]:
            step = self.site.see.phase(self.name, commit, environment)
            return step if step.get("phase") == "at-gate" else {}

        return dict(self.site.see.until(f"{self.name} before {environment}", ROLLOUT_SECONDS, look))

    def to_production(self, commit: str) -> None:
        """Wait for the gate, approve as a person does, and wait until production is healthy."""
        self.at_gate(commit)
        self.site.towpath("approve", self.key, "-e", "production", "--reason", "looked at staging")
        self.healthy(commit, "production")

    def revisions(self, commit: str, environment: str) -> list[dict[str, Any]]:
        """The lines of a lane's history that a commit's release has."""
        history = self.site.see.lane(self.name, environment).get("history", [])
        return [line for line in history if line["release"]["commit"]["id"] == commit]

    def running(self, environment: str) -> str:
        """The digest that an environment's lane says it runs; empty while it runs nothing."""
        current = self.site.see.lane(self.name, environment).get("current")
        return str(current["image"]["digest"]) if current else ""

    def workflows(self, commit: str) -> list[dict[str, Any]]:
        """The Argo Workflow objects of a commit."""
        labels = f"openchoreo.dev/namespace={self.site.namespace},openchoreo.dev/component={self.name}"
        selector = f"--selector={labels},towpath.dev/commit={commit}"
        return self.site.see.objects("workflows.argoproj.io", f"--namespace={BUILD_PLANE}", selector)

    def objects_in(self, environment: str, kind: str) -> list[dict[str, Any]]:
        """What of this component is in an environment."""
        return self.site.see.deployed(kind, self.name, environment)

    def pods(self, environment: str) -> list[dict[str, Any]]:
        """The pods that an environment runs; those that are on their way out are not among them."""
        pods = self.objects_in(environment, "pod")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def image_ids(self, environment: str) -> set[str]:
        """The digests that the kubelet says the environment's pods run; a pod that it has not met yet has none."""
        pods = self.pods(environment)
        statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
        return {status["imageID"].rpartition("@")[2] for status in statuses}

    def curl(self, environment: str) -> str:
        """The first line of what an environment serves."""
        return self.site.see.curl(self.site.see.address(self.name, environment))

    def overlaps(self, environment: str) -> list[tuple[str, str]]:
        """Deployments into an environment of which the later one began before the earlier one had ended."""
        mine = f"TowpathComponent = '{self.key}' AND TowpathEnvironment = '{environment}'"
        spans = self.site.runs.spans(f"WorkflowType = 'Rollout' AND {mine}")
        assert spans, f"nothing was ever deployed into {environment}"
        return [(one.workflow, other.workflow) for one, other in pairwise(spans) if one.overlaps(other)]

    def version(self) -> str:
        """What the newest commit says when it is asked."""
        return f"version {self._version}"

    def remove(self) -> None:
        """Delete the component, if it was applied here; what runs for it goes after a while."""
        for obj in self.objects:
            if obj["kind"] == "Component" and self._applied:
                kind = f"components.{obj['apiVersion'].partition('/')[0]}"
                how = (f"--namespace={self.site.namespace}", "--ignore-not-found", "--wait=false")
                self.site.see.kubectl("delete", kind, self.name, *how)

    def close(self) -> None:
        """Remove the working copy."""
        self.repository.close()

    def _own(self, obj: dict[str, Any]) -> dict[str, Any]:
        if obj["kind"] != "Component":
            return obj
        obj["metadata"]["name"] = self.name
        if obj["apiVersion"] == "choreo.dev/v1":
            obj["spec"]["source"]["git"]["repository"] = self.url
        else:
            obj["spec"]["workflow"]["parameters"]["repository"]["url"] = self.url
        return obj
