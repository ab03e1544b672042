"""GitOps with the real Flux, in the repository that the application itself is built from."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.e2e.application import Application
from tests.e2e.site import Site

FILE = "deploy/kustomization.yaml"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: ledger}
spec:
  selector: {matchLabels: {app: ledger}}
  template:
    metadata: {labels: {app: ledger}}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: main
          image: ledger
          env: [{name: PORT, value: "3000"}]
          ports: [{containerPort: 3000}]
          readinessProbe: {tcpSocket: {port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: ledger}
spec:
  selector: {app: ledger}
  ports: [{port: 3000, targetPort: 3000}]
"""
SECONDS = 60
MANAGED = "--show-managed-fields"


@dataclass
class Ledger:
    """An application whose development environment is owned by Flux."""

    app: Application
    flux: str
    first: str

    def head(self) -> list[dict[str, str]]:
        """The commits on the server, newest first."""
        self.app.repository.git("fetch", "--quiet", "origin", "main")
        form = "--format=%H%x09%cn%x09%s%x09%(trailers:key=Towpath-Reverts,valueonly,separator=%x2C)"
        lines = self.app.repository.git("log", form, "origin/main").splitlines()
        keys = ("id", "committer", "subject", "reverts")
        return [dict(zip(keys, line.split("\t"), strict=False)) for line in lines]

    def said(self) -> str:
        """The digest that Git says."""
        self.app.repository.git("fetch", "--quiet", "origin", "main")
        text = self.app.repository.git("show", f"origin/main:{FILE}")
        return str(yaml.safe_load(text)["images"][0].get("digest"))

    def pods(self) -> set[str]:
        """The digests that Flux's pods run."""
        pods = self.app.site.see.objects("pod", f"--namespace={self.flux}")
        running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return {pod["spec"]["containers"][0]["image"].rpartition("@")[2] for pod in running}

    def push(self, subject: str, **version: bool) -> str:
        """A developer's commit on top of whatever is there."""
        self.app.repository.git("fetch", "--quiet", "origin", "main")
        self.app.repository.git("reset", "--quiet", "--hard", "origin/main")
        return self.app.push(subject, **version)

    def delivered(self, commit: str) -> str:
        """How the delivery of a push ended, as Temporal shows it."""
        runs = self.app.site.runs
        found = runs.found(f"WorkflowType = 'Delivery' AND TowpathCommit = '{commit}'")
        return runs.current_details(found[0]) if found else ""


def objects(site: Site, flux: str, url: str) -> list[dict[str, Any]]:
    """What a platform team puts there: a place for Flux, what it follows, and the rules."""
    applier = {"kind": "ServiceAccount", "name": "flux-applier", "namespace": flux}
    edit = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    named = {"name": "ledger", "namespace": flux}
    source = {"kind": "GitRepository", "name": "ledger"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": flux}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "flux-applier", "namespace": flux}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": named,
            "roleRef": edit, "subjects": [applier],
        },
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": named,
            "spec": {"url": url, "interval": "10m", "ref": {"branch": "main"}},
        },
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": named,
            "spec": {
                "interval": "10m", "retryInterval": "2s", "timeout": "30s", "path": "./deploy", "prune": True,
                "targetNamespace": flux, "sourceRef": source,
            },
        },
        {
            "apiVersion": "towpath.dev/v1alpha1", "kind": "PromotionPolicy",
            "metadata": {"name": "ledger-gitops", "namespace": site.namespace},
            "spec": {
                "selector": {"component": "ledger", "environment": "development"},
                "gitops": {
                    "repository": {"url": url}, "path": FILE, "write": "kustomizeImage", "image": "ledger",
                    "controller": {"name": "ledger", "namespace": flux},
                    "workload": {"namespace": flux, "name": "ledger"},
                },
            },
        },
    ]  # fmt: skip


@pytest.fixture(scope="module")
def ledger(site: Site, application: Callable[..., Application]) -> Iterator[Ledger]:
    app = application(Application.hello, "ledger")
    flux = f"{site.namespace}-flux"
    app.repository.write("deploy/ledger.yaml", DEPLOYMENT)
    app.repository.write(FILE, "# which image runs\nresources: [ledger.yaml]\nimages:\n  - name: ledger\n")
    first = app.push("Begin")
    site.see.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects(site, flux, app.url)))
    try:
        app.apply()
        app.healthy(first, "development")
        yield Ledger(app, flux, first)
    finally:
        site.see.kubectl("delete", "kustomizations.kustomize.toolkit.fluxcd.io", "ledger", f"--namespace={flux}")
        site.see.kubectl("delete", "namespace", flux, "--wait=false")


@pytest.fixture(scope="module")
def reverted(ledger: Ledger) -> dict[str, Any]:
    """A push that crash-loops, and what it was before."""
    good = ledger.said()
    commit = ledger.push("Break the start", crash=True)
    return {"commit": commit, "good": good, "revision": ledger.app.settled(commit)}


def test_a_release_reaches_its_environment_by_way_of_git(ledger: Ledger) -> None:
    digest = ledger.app.running("development")
    assert ledger.said() == digest
    ledger.app.site.see.until("its pods alone", SECONDS, lambda: ledger.pods() == {digest})
    written = ledger.head()[0]
    assert written["committer"] == "Towpath"
    changed = ledger.app.repository.git("diff", "--name-only", f"{written['id']}^", written["id"])
    assert changed == FILE
    managers = {
        entry["manager"]
        for deployment in ledger.app.site.see.objects("deployment", MANAGED, f"--namespace={ledger.flux}")
        for entry in deployment["metadata"]["managedFields"]
    }
    assert "towpath" not in managers


def test_a_release_that_crashes_is_reverted_in_git(ledger: Ledger, reverted: dict[str, Any]) -> None:
    assert reverted["revision"]["result"] == "rolled-back", reverted["revision"]
    assert ledger.said() == reverted["good"]
    revert, written, broken = ledger.head()[:3]
    assert (revert["committer"], written["committer"]) == ("Towpath", "Towpath")
    assert revert["reverts"] == written["id"]
    assert broken["id"] == reverted["commit"]
    ledger.app.site.see.until("the good release again", SECONDS, lambda: ledger.pods() == {reverted["good"]})


def test_what_towpath_writes_starts_nothing(ledger: Ledger, reverted: dict[str, Any]) -> None:
    assert reverted
    own = [commit["id"] for commit in ledger.head() if commit["committer"] == "Towpath"]
    assert len(own) == 3
    for commit in own:
        what = f"the delivery of {commit[:7]}"
        told = ledger.app.site.see.until(what, SECONDS, functools.partial(ledger.delivered, commit))
        assert told.startswith("**OwnCommit**"), told
        assert not ledger.app.workflows(commit)


def binding(ledger: Ledger, environment: str) -> dict[str, Any]:
    found = ledger.app.site.see.objects("releasebindings", MANAGED, f"--namespace={ledger.app.site.namespace}")
    wanted = f"ledger-{environment}"
    return next((one for one in found if one["metadata"]["name"] == wanted), {})


def condition(ledger: Ledger, environment: str) -> dict[str, Any]:
    found = binding(ledger, environment)
    told = (found.get("status") or {}).get("conditions") or [{}]
    fresh = told[0].get("observedGeneration") == found.get("metadata", {}).get("generation")
    return dict(told[0]) if fresh else {}


def test_a_binding_that_is_written_by_hand_is_a_promotion_through_the_gates(ledger: Ledger) -> None:
    site, app = ledger.app.site, ledger.app
    app.at_gate(ledger.first)
    release = app.revisions(ledger.first, "staging")[0]["release"]["name"]
    spec = {"owner": {"projectName": "default", "componentName": "ledger"}, "environment": "production"}
    written = {
        "apiVersion": "openchoreo.dev/v1alpha1", "kind": "ReleaseBinding",
        "metadata": {"name": "ledger-production", "namespace": site.namespace},
        "spec": {**spec, "releaseName": "ledger-nonsense"},
    }  # fmt: skip
    site.see.kubectl("create", "--filename=-", stdin=json.dumps(written))
    see = site.see.until
    told = see("the answer", SECONDS, lambda: condition(ledger, "production"))
    assert (told["status"], told["reason"]) == ("False", "ReleaseNotFound")
    events = site.see.objects("events", f"--namespace={site.namespace}", "--field-selector=reason=ReleaseNotFound")
    assert {event["involvedObject"]["name"] for event in events} == {"ledger-production"}

    patch = json.dumps({"spec": {"releaseName": release}})
    name = ("releasebinding", "ledger-production", f"--namespace={site.namespace}")
    site.see.kubectl("patch", *name, "--type=merge", f"--patch={patch}")
    told = see("the promotion", SECONDS, lambda: condition(ledger, "production"))
    assert (told["status"], told["reason"]) == ("Unknown", "Promoting")
    assert not app.running("production")
    site.towpath("approve", app.key, "-e", "production")
    app.healthy(ledger.first, "production")
    see("the agreement", SECONDS, lambda: condition(ledger, "production").get("status") == "True")

    site.see.kubectl("delete", *name)
    about = f"--field-selector=reason=BindingDeleted,involvedObject.name={app.name}"
    see("the notice", SECONDS, lambda: site.see.objects("events", f"--namespace={site.namespace}", about))
    assert app.running("production")


def test_the_mirror_of_a_lane_starts_nothing(ledger: Ledger) -> None:
    site = ledger.app.site
    assert binding(ledger, "staging")["metadata"]["managedFields"][0]["manager"] == "towpath"
    mine = f"TowpathComponent = '{ledger.app.key}' AND TowpathEnvironment = 'staging'"
    assert site.runs.count(f"WorkflowType = 'Rebinding' AND {mine}") == 0
