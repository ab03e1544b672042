"""Registries and CloudEvents, each as its documentation writes it."""

from typing import Any

from tests.triggers.dialects import MOMENT, NEWER, OLDER, Delivery

DIGEST = f"sha256:{'b' * 64}"
OCI = "application/vnd.oci.image.manifest.v1+json"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
GIT = {
    "repository": {"url": "https://git.example/team/hello-world.git"},
    "ref": "refs/heads/main",
    "before": OLDER,
    "after": NEWER,
}


def distribution() -> Delivery:
    target = {"mediaType": OCI, "digest": DIGEST, "repository": "team/app", "tag": "v2", "url": "http://reg/v2/x"}
    event = {
        "id": "320678d8",
        "timestamp": MOMENT,
        "action": "push",
        "target": target,
        "request": {"host": "reg.example:5000"},
        "actor": {"name": "ada"},
    }
    return Delivery("registry/distribution", {}, {"events": [event]})


def harbor() -> Delivery:
    resources = [{"digest": DIGEST, "tag": "v2", "resource_url": "reg.example/team/app:v2"}]
    data = {"resources": resources, "repository": {"name": "app", "repo_full_name": "team/app"}}
    content = {"type": "PUSH_ARTIFACT", "occur_at": 1763745840, "operator": "admin", "event_data": data}
    return Delivery("registry/harbor", {}, content)


def dockerhub() -> Delivery:
    content = {
        "callback_url": "http://169.254.169.254/latest",
        "push_data": {"pushed_at": 1763745840, "pusher": "ada", "tag": "v2"},
        "repository": {"repo_name": "team/app", "name": "app", "namespace": "team"},
    }
    return Delivery("registry/dockerhub", {}, content)


def quay() -> Delivery:
    content = {"repository": "team/app", "docker_url": "quay.io/team/app", "updated_tags": ["latest", "v2"]}
    return Delivery("registry/quay", {"X-Towpath-Request": "1"}, content)


def ghcr(place: str = "package") -> Delivery:
    version = {"version": DIGEST, "container_metadata": {"tag": {"name": "v2", "digest": DIGEST}}}
    package = {
        "name": "app",
        "namespace": "Team",
        "package_type": "CONTAINER",
        "owner": {"login": "Team"},
        "package_version": version,
    }
    headers = {"X-GitHub-Event": place, "X-GitHub-Delivery": "72d3162e-cc78"}
    return Delivery("registry/ghcr", headers, {"action": "published", place: package, "sender": {"login": "ada"}})


def cloudevent(kind: str = "dev.towpath.image", data: Any = None) -> Delivery:
    told = {"image": "reg.example:5000/team/app:v2", "digest": DIGEST} if data is None else data
    content = {
        "specversion": "1.0",
        "id": "1",
        "source": "/ci",
        "type": kind,
        "datacontenttype": "application/json",
        "data": told,
    }
    return Delivery("cloudevents", STRUCTURED, content)


def every() -> list[Delivery]:
    """One of each."""
    artifact = {
        "subject": {"id": "pkg:oci/app@sha256%3Abb?repository_url=reg.example/team/app&tag=v2", "content": {}}
    }
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/ci", "ce-type": "dev.towpath.push"}
    return [
        distribution(),
        harbor(),
        dockerhub(),
        quay(),
        ghcr(),
        ghcr("registry_package"),
        cloudevent(),
        cloudevent("dev.towpath.push", GIT),
        cloudevent("dev.cdevents.artifact.published.0.2.0", artifact),
        cloudevent("dev.cdevents.change.merged.0.2.0", {"customData": GIT, "subject": {"id": "1"}}),
        cloudevent("harbor.artifact.pushed", harbor().content["event_data"]),
        Delivery("cloudevents", headers, GIT),
    ]
