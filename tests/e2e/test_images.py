"""An image that was built elsewhere is pushed to a real registry, whose own webhook says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.site import Site
from tests.integration.images import busybox_layer
from tests.pushing import Pusher
from tests.subscriber import Subscriber

NAME = "bring-your-own"
HEALTHY_SECONDS = 90
SUBSCRIBER_SECONDS = 120
"""It is tried again ever more rarely, while it is away."""
SECRET = "of the subscriber"
TOLD = ("release.made", "deployment.started", "deployment.ended")
REVISION = "org.opencontainers.image.revision"


@pytest.fixture(scope="module")
def pusher(site: Site) -> Iterator[Pusher]:
    """Somebody's own build, which has pushed version 1.0.0."""
    pusher = Pusher(site.settings.registry, f"elsewhere/{site.namespace}/app")
    yield pusher
    pusher.close()


@pytest.fixture(scope="module")
def subscriber(site: Site) -> Iterator[Subscriber]:
    """Somebody outside who is told of everything, and is not there at first."""
    subscriber = Subscriber(site.settings.bridge_address, SECRET)
    subscriber.down = True
    yield subscriber
    subscriber.close()


def subscription(site: Site, subscriber: Subscriber) -> list[dict[str, Any]]:
    account = {"kind": "ServiceAccount", "name": "towpath-control", "namespace": "towpath-control-plane"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "towpath-repository-secrets"}
    here = {"namespace": site.namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "chat", **here},
            "stringData": {"secret": SECRET},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "towpath-repository-secrets", **here},
            "roleRef": role,
            "subjects": [account],
        },
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Subscription",
            "metadata": {"name": "chat", **here},
            "spec": {"sink": subscriber.url, "authentication": {"secretRef": {"name": "chat"}}},
        },
    ]


def image(pusher: Pusher, version: str, commit: str) -> str:
    """Version `version` of an application that says its version."""
    serve = f"mkdir -p /tmp/www && echo {version} >/tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"
    return pusher.image(version, busybox_layer(), ("/bin/sh", "-c", serve), {REVISION: commit})


def manifests(site: Site, pusher: Pusher) -> list[dict[str, Any]]:
    owner = {"projectName": "default", "componentName": NAME}
    component = {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": NAME,
            "namespace": site.namespace,
            "annotations": {"towpath.dev/image-tags": "semver: >=1.0.0 <2.0.0", "towpath.dev/health-path": "/"},
        },
        "spec": {"componentType": {"name": "deployment/service"}, "autoDeploy": True},
    }
    workload = {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": NAME, "namespace": site.namespace},
        "spec": {
            "owner": owner,
            "container": {"image": f"{pusher.name}:1.0.0"},
            "endpoints": {"http": {"type": "HTTP", "port": 8080}},
        },
    }
    return [component, workload]


def running(site: Site, environment: str) -> str:
    """The image that an environment's Deployment runs; empty before there is one."""
    found = site.see.deployed("deployment", NAME, environment)
    return str(found[0]["spec"]["template"]["spec"]["containers"][0]["image"]) if found else ""


def test_a_push_to_the_registry_brings_the_image_to_its_environments_by_digest(
    site: Site, pusher: Pusher, subscriber: Subscriber
) -> None:
    site.see.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(subscription(site, subscriber)))
    first = image(pusher, "1.0.0", "1" * 40)
    site.see.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests(site, pusher)))
    site.see.until(
        "1.0.0 in development", HEALTHY_SECONDS, lambda: running(site, "development") == f"{pusher.name}@{first}"
    )
    assert subscriber.events == []
    subscriber.down = False
    # From here on nothing but pushes, which the registry's own webhook announces.
    pusher.artifact("1.3.0", "application/vnd.cncf.helm.config.v1+json", b'{"name": "a chart"}')
    pusher.artifact(
        f"sha256-{first.removeprefix('sha256:')}.sig", "application/vnd.oci.image.config.v1+json", b"{}"
    )
    outside = image(pusher, "2.0.0", "2" * 40)
    second = image(pusher, "1.2.0", "3" * 40)
    site.see.until(
        "1.2.0 in staging", HEALTHY_SECONDS, lambda: running(site, "staging") == f"{pusher.name}@{second}"
    )
    late = image(pusher, "1.1.0", "4" * 40)
    site.see.until(
        "the end of what 1.1.0 started",
        HEALTHY_SECONDS,
        lambda: not site.runs.count("ExecutionStatus = 'Running' AND WorkflowType = 'ImageDelivery'"),
    )
    # Others release in this namespace as well.
    own = f"--selector=openchoreo.dev/component={NAME}"
    releases = site.see.objects("componentrelease", f"--namespace={site.namespace}", own)
    made = {release["spec"]["towpath"]["image"]["digest"] for release in releases}
    assert made == {first, second}
    assert not {outside, late} & made
    commits = {release["spec"]["towpath"]["commit"]["id"] for release in releases}
    assert commits == {"1" * 40, "3" * 40}
    answer = httpx.get(site.see.address(NAME, "development"), timeout=10)
    assert answer.text.strip() == "1.2.0"


def test_a_subscriber_that_was_away_is_told_of_every_step_in_order(site: Site, subscriber: Subscriber) -> None:
    def kinds(environment: str) -> list[str]:
        """What was told of the first release and of one environment's deployments."""
        return [
            event["type"].removeprefix("dev.towpath.")
            for event in list(subscriber.events)
            if event["data"].get("environment", environment) == environment
        ]

    site.see.until(
        "all steps of both releases",
        SUBSCRIBER_SECONDS,
        lambda: all(kinds("staging").count(kind) >= 2 for kind in TOLD),
    )
    told = kinds("development")
    # The second release may come while the first is on its way.
    assert [told.index(kind) for kind in TOLD] == sorted(told.index(kind) for kind in TOLD)
    ids = [event["id"] for event in subscriber.events]
    assert len(set(ids)) == len(ids)
    assert {event["subject"] for event in subscriber.events} == {f"{site.namespace}/{NAME}"}
    assert subscriber.refused == 0

    def status() -> dict[str, Any]:
        (found,) = site.see.objects("subscriptions.towpath.dev", f"--namespace={site.namespace}")
        return dict(found.get("status") or {})

    site.see.until(
        "the subscription to be well", SUBSCRIBER_SECONDS, lambda: status().get("state") == "Delivering"
    )
    assert status()["dropped"] == 0
