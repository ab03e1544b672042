"""What registries announce: each in its documented shape, over fakes."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.component import BuildPlan, Component
from model.failure import Failure
from model.image_push import ImagePush
from model.key import ComponentKey
from tests.triggers.fakes import COMMIT, OLDER, URL, FakeApiServer, component_object, repository_object
from tests.triggers.fakes import convert as built
from tests.triggers.serving import SECRET, Parts, serving, signed
from triggers.problem import Problem
from triggers.webhooks.cloudevents import CloudEvents
from triggers.webhooks.document import Document
from triggers.webhooks.registry.distribution import Distribution
from triggers.webhooks.registry.ghcr import Ghcr
from triggers.webhooks.registry.harbor import Harbor
from triggers.webhooks.registry.unsigned import DockerHub, Quay

DIGEST = f"sha256:{'b' * 64}"
OCI = "application/vnd.oci.image.manifest.v1+json"
BEARER = {"Authorization": f"Bearer {SECRET}"}


def convert(obj: dict[str, Any]) -> Component:
    """Components named image-… are made from images."""
    name = obj["metadata"]["name"]
    if not name.startswith("image-"):
        return built(obj)
    return Component(key=ComponentKey(name=name), build=BuildPlan(kind="image"))


def workload(name: str, image: str, generation: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "openchoreo.dev/v1alpha1",
        "kind": "Workload",
        "metadata": {"namespace": "default", "name": name, "uid": f"w-{name}", "generation": generation},
        "spec": {"owner": {"projectName": "default", "componentName": name}, "container": {"image": image}},
    }


IMAGES = ("reg.example:5000/team/app:v1", "docker.io/team/app:v1", "quay.io/team/app", "ghcr.io/team/app:v1")


@pytest.fixture
def parts() -> Parts:
    """One component is built, the others run images, one from each registry."""
    objects = [component_object(observedGeneration=1)]
    for number, image in enumerate(IMAGES):
        objects += [component_object(f"image-{number}", observedGeneration=1), workload(f"image-{number}", image)]
    return Parts(apiserver=FakeApiServer(*objects), convert=convert)


def pushes(parts: Parts) -> dict[str, ImagePush]:
    return {name: event for name, event in parts.starter.events.items() if isinstance(event, ImagePush)}


def distribution(*events: dict[str, Any]) -> dict[str, Any]:
    return {"events": list(events)}


def event(
    action: str = "push", media_type: str = OCI, tag: str = "v2", host: str = "reg.example:5000"
) -> dict[str, Any]:
    """As the registry writes it (docs, "Envelope")."""
    return {
        "id": f"id-{action}-{tag}",
        "timestamp": "2026-11-21T17:24:00Z",
        "action": action,
        "target": {
            "mediaType": media_type,
            "digest": DIGEST,
            "size": 1,
            "length": 1,
            "repository": "team/app",
            "url": f"http://{host}/v2/team/app/manifests/{DIGEST}",
            **({"tag": tag} if tag else {}),
        },
        "request": {"id": "r", "addr": "10.0.0.1:1", "host": host, "method": "PUT", "useragent": "skopeo"},
        "actor": {"name": "ada"},
        "source": {"addr": "registry:5000", "instanceID": "i"},
    }


async def post(client: httpx.AsyncClient, kind: str, body: Any, **headers: str) -> httpx.Response:
    return await client.post(f"/webhooks/{kind}", content=json.dumps(body), headers=headers)


async def test_a_push_to_a_distribution_registry_starts_one_delivery_of_that_image(
    parts: Parts, tmp_path: Path
) -> None:
    async with serving(parts, tmp_path) as client:
        body = distribution(event())
        answers = [await post(client, "registry/distribution", body, **BEARER) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True]
    (found,) = pushes(parts).values()
    assert (found.repository, found.tag, found.digest) == ("reg.example:5000/team/app", "v2", DIGEST)
    assert found.actor.name == "ada"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (event("pull"), "ActionNotUsed"),
        (event("mount"), "ActionNotUsed"),
        (event(media_type="application/octet-stream"), "NotAManifest"),
        (event(media_type="application/vnd.docker.image.rootfs.diff.tar.gzip"), "NotAManifest"),
        (event(tag=""), "NoTag"),
        (event(tag=f"sha256-{'c' * 64}.sig"), "Signature"),
        (event(tag=f"sha256-{'c' * 64}.att"), "Signature"),
        (event(host="elsewhere.example"), "NobodyFollows"),
    ],
)
async def test_what_is_no_image_to_run_is_answered_and_starts_nothing(
    parts: Parts, tmp_path: Path, told: dict[str, Any], reason: str
) -> None:
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "registry/distribution", distribution(told), **BEARER)
    # Not an error: the registry would send it again for ever, and everything behind it would wait.
    assert (answer.status_code, answer.json()["reason"]) == (200, reason)
    assert pushes(parts) == {}


async def test_several_events_of_one_delivery_start_what_each_asks_for(parts: Parts, tmp_path: Path) -> None:
    body = distribution(event(), event("pull"), event(tag="v3"), event(media_type="application/octet-stream"))
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "registry/distribution", body, **BEARER)
    assert answer.status_code == 202
    assert {push.tag for push in pushes(parts).values()} == {"v2", "v3"}


async def test_what_towpath_builds_itself_is_no_news(parts: Parts, tmp_path: Path) -> None:
    parts.apiserver.objects.append(workload("hello-world", "reg.example:5000/default/default/hello-world:v1"))
    own = event()
    own["target"]["repository"] = "default/default/hello-world"
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "registry/distribution", distribution(own), **BEARER)
    assert answer.json()["reason"] == "NobodyFollows"


HARBOR = {
    "type": "PUSH_ARTIFACT",
    "occur_at": 1763745840,
    "operator": "admin",
    "event_data": {
        "resources": [{"digest": DIGEST, "tag": "v2", "resource_url": "reg.example:5000/team/app:v2"}],
        "repository": {"name": "app", "namespace": "team", "repo_full_name": "team/app", "repo_type": "private"},
    },
}


async def test_a_push_to_harbor_is_taken_by_its_configured_header(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        assert (await post(client, "registry/harbor", HARBOR)).status_code == 401
        assert (await post(client, "registry/harbor", HARBOR, Authorization="wrong")).status_code == 401
        assert pushes(parts) == {}
        answer = await post(client, "registry/harbor", HARBOR, Authorization=SECRET)
    assert answer.status_code == 202
    (found,) = pushes(parts).values()
    assert (found.repository, found.tag, found.digest) == ("reg.example:5000/team/app", "v2", DIGEST)


async def test_other_events_of_harbor_start_nothing(parts: Parts, tmp_path: Path) -> None:
    by_digest = {"digest": DIGEST, "tag": DIGEST, "resource_url": f"reg.example:5000/team/app@{DIGEST}"}
    untagged = {**HARBOR, "event_data": {"resources": [by_digest]}}
    async with serving(parts, tmp_path) as client:
        scanned = await post(
            client, "registry/harbor", {**HARBOR, "type": "SCANNING_COMPLETED"}, Authorization=SECRET
        )
        bare = await post(client, "registry/harbor", untagged, Authorization=SECRET)
    assert (scanned.json()["reason"], bare.json()["reason"]) == ("EventNotUsed", "NoTag")


def package(place: str, action: str = "published", tag: str = "v2", kind: str = "CONTAINER") -> dict[str, Any]:
    metadata = {"tag": {"name": tag, "digest": DIGEST if tag else ""}}
    return {
        "action": action,
        place: {
            "name": "app",
            "namespace": "Team",
            "package_type": kind,
            "owner": {"login": "Team"},
            "package_version": {"version": DIGEST, "container_metadata": metadata},
        },
        "sender": {"login": "ada"},
    }


@pytest.mark.parametrize("place", ["package", "registry_package"])
async def test_a_package_of_github_is_taken_by_its_signature(parts: Parts, tmp_path: Path, place: str) -> None:
    body = json.dumps(package(place)).encode()
    headers = {"X-GitHub-Event": place, "X-GitHub-Delivery": "d-1"}
    async with serving(parts, tmp_path) as client:
        for signature in ({}, {"X-Hub-Signature-256": signed(body, "wrong")}, {"X-Hub-Signature-256": ""}):
            refused = await client.post("/webhooks/registry/ghcr", content=body, headers={**headers, **signature})
            assert refused.status_code == 401
        headers["X-Hub-Signature-256"] = signed(body)
        answer = await client.post("/webhooks/registry/ghcr", content=body, headers=headers)
    assert answer.status_code == 202
    (found,) = pushes(parts).values()
    assert (found.repository, found.tag, found.digest) == ("ghcr.io/team/app", "v2", DIGEST)


def test_other_packages_and_actions_of_github_start_nothing() -> None:
    def told(body: dict[str, Any], name: str = "package") -> str:
        headers = {"x-github-event": name, "x-github-delivery": "1"}
        (found,) = Ghcr().parse(headers, Document(body))
        return getattr(found, "reason", "Ping")

    assert told(package("package", kind="npm")) == "NotAnImage"
    assert told(package("package", action="deleted")) == "ActionNotUsed"
    assert told(package("package", tag="")) == "NoTag"
    assert told({}, "push") == "EventNotUsed"
    assert told({}, "ping") == "Ping"


HUB = {
    "callback_url": "http://169.254.169.254/latest/meta-data",
    "push_data": {"pushed_at": 1763745840, "pusher": "ada", "tag": "v2"},
    "repository": {"repo_name": "team/app", "name": "app", "namespace": "team"},
}
QUAY = {"repository": "team/app", "docker_url": "quay.io/team/app", "updated_tags": ["latest", "v2"]}


@pytest.mark.parametrize(("kind", "body", "tags"), [("dockerhub", HUB, {"v2"}), ("quay", QUAY, {"latest", "v2"})])
async def test_a_registry_that_signs_nothing_is_known_by_the_secret_in_its_address(
    parts: Parts, tmp_path: Path, kind: str, body: dict[str, Any], tags: set[str]
) -> None:
    name = f"registry/{kind}"
    async with serving(parts, tmp_path) as client:
        assert (await post(client, name, body)).status_code == 404
        for guess in ("wrong", SECRET[:-1], f"{SECRET}x", "%00"):
            assert (await post(client, f"{name}/{guess}", body)).status_code == 401
        # The header in which the address' secret travels inside cannot be set from outside.
        forged = {"x-towpath-address-secret": SECRET}
        assert (await post(client, f"{name}/wrong", body, **forged)).status_code == 401
        assert pushes(parts) == {}
        assert (await post(client, f"{name}/{SECRET}", body)).status_code == 202
    assert {push.tag for push in pushes(parts).values()} == tags
    assert {push.digest for push in pushes(parts).values()} == {""}


async def test_a_tag_that_quay_announces_again_is_looked_at_again(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        for _ in range(2):
            await post(client, f"registry/quay/{SECRET}", {**QUAY, "updated_tags": ["latest"]})
    # Nothing in its body tells one push of a tag from the next: each is looked up, and what is known adds nothing.
    assert len(pushes(parts)) == 2


async def test_the_secret_of_an_address_is_in_no_log_and_no_answer(
    parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("triggers.webhooks.registry.unsigned.DockerHub.parse", broken)
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with serving(parts, tmp_path) as client:
            for path in (
                f"registry/dockerhub/{SECRET}",
                f"registry/quay/{SECRET}",
                f"registry/quay/{SECRET}/more",
            ):
                answer = await post(client, path, HUB)
                said.append(answer.text + str(answer.headers))
    assert len(logs) >= 2
    stored = [repr(event) for event in parts.starter.events.values()]
    # All but what this test's own client logs.
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert SECRET not in "".join([*said, *map(str, logs), *lines, *stored, *parts.starter.events])


async def test_nothing_is_ignored_before_it_is_known_what_is_followed(parts: Parts, tmp_path: Path) -> None:
    parts.apiserver.held = "Workload"
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "registry/distribution", distribution(event()), **BEARER)
        assert (answer.status_code, answer.json()["reason"]) == (503, "NotReady")


async def test_an_edit_of_a_workload_has_its_image_looked_at_once(parts: Parts, tmp_path: Path) -> None:
    def applied() -> list[str]:
        return sorted(name for name in parts.starter.started if name.startswith("applied/default/image-0/"))

    async with serving(parts, tmp_path):
        while not applied():
            await parts.starter.news.wait()
            parts.starter.news.clear()
        parts.apiserver.tell("MODIFIED", workload("image-0", "reg.example:5000/team/app:v2", generation=2))
        parts.apiserver.tell("MODIFIED", workload("hello-world", "reg.example:5000/team/app:v2", generation=2))
        while len(applied()) < 2:
            await parts.starter.news.wait()
            parts.starter.news.clear()
    assert applied() == ["applied/default/image-0/w-image-0/1", "applied/default/image-0/w-image-0/2"]
    assert not [name for name in parts.starter.started if "hello-world" in name]


def cloud(kind: str = "dev.towpath.image", data: Any = None, **changed: str) -> dict[str, Any]:
    told = {"image": "reg.example:5000/team/app:v2", "digest": DIGEST} if data is None else data
    base = {"specversion": "1.0", "id": "1", "source": "/ci", "type": kind, "datacontenttype": "application/json"}
    return {**base, **changed, "data": told}


GIT = {"repository": {"url": URL}, "ref": "refs/heads/main", "before": OLDER, "after": COMMIT}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8", **BEARER}


async def test_a_cloudevent_is_taken_in_every_mode(parts: Parts, tmp_path: Path) -> None:
    binary = {
        f"ce-{key}": str(text) for key, text in cloud(id="2").items() if key not in ("data", "datacontenttype")
    }
    batch = {**STRUCTURED, "Content-Type": "application/cloudevents-batch+json"}
    events = [cloud(data={"image": f"reg.example:5000/team/app:{tag}"}, id=tag) for tag in ("a", "b", "b")]
    async with serving(parts, tmp_path) as client:
        for headers, body, tags in (
            (STRUCTURED, cloud(), {"v2"}),
            ({**BEARER, **binary}, {"image": "reg.example:5000/team/app:v4"}, {"v4"}),
            (batch, events, {"a", "b"}),
        ):
            parts.starter.events.clear()
            assert (await post(client, "cloudevents", body, **headers)).status_code == 202
            assert {push.tag for push in pushes(parts).values()} == tags
            assert len(pushes(parts)) == len(tags)
        again = await post(client, "cloudevents", events, **batch)
        assert again.json()["duplicate"] is True


@pytest.mark.parametrize(
    ("told", "tag", "digest"),
    [
        (
            cloud(
                "dev.cdevents.artifact.published.0.2.0",
                {"subject": {"id": f"pkg:oci/app@sha256%3A{'b' * 64}?repository_url=ghcr.io/team/app&tag=v2"}},
            ),
            "v2",
            DIGEST,
        ),
        (cloud("dev.cdevents.artifact.published.0.2.0", {"subject": {"id": "pkg:docker/team/app@v3"}}), "v3", ""),
        (cloud("harbor.artifact.pushed", HARBOR["event_data"], operator="admin"), "v2", DIGEST),
    ],
)
async def test_events_of_others_that_tell_of_an_image_are_understood(
    parts: Parts, tmp_path: Path, told: dict[str, Any], tag: str, digest: str
) -> None:
    async with serving(parts, tmp_path) as client:
        assert (await post(client, "cloudevents", told, **STRUCTURED)).status_code == 202
    (found,) = pushes(parts).values()
    assert (found.tag, found.digest) == (tag, digest)


@pytest.mark.parametrize(
    "told", [cloud("dev.towpath.push", GIT), cloud("dev.cdevents.change.merged.0.2.0", {"customData": GIT})]
)
async def test_a_push_as_a_cloudevent_is_the_push_that_others_announce(
    parts: Parts, tmp_path: Path, told: dict[str, Any]
) -> None:
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "cloudevents", told, **STRUCTURED)
    assert answer.status_code == 202
    (workflow,) = (name for name, event in parts.starter.started.items() if event.cause == "push")
    assert workflow == f"push/git.example%2Fteam%2Fhello-world/refs/heads/main/{COMMIT}"


async def test_a_repositorys_own_secret_counts_for_its_cloudevents_and_vouches_for_nothing_else(
    parts: Parts, tmp_path: Path
) -> None:
    parts.apiserver.objects.append(repository_object(URL, "own"))
    parts.secrets.texts["own"] = "its-own"
    own = {**STRUCTURED, "Authorization": "Bearer its-own"}
    batch = {**own, "Content-Type": "application/cloudevents-batch+json"}
    push = cloud("dev.towpath.push", GIT)
    async with serving(parts, tmp_path) as client:
        assert (await post(client, "cloudevents", push, **STRUCTURED)).status_code == 401
        assert (await post(client, "cloudevents", cloud(), **own)).status_code == 401
        mixed = await post(client, "cloudevents", [push, cloud()], **batch)
        assert (mixed.status_code, mixed.json()["reason"]) == (400, "SeveralRepositories")
        assert pushes(parts) == {}
        assert (await post(client, "cloudevents", push, **own)).status_code == 202


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"}]
)
async def test_a_cloudevent_without_the_token_is_refused(
    parts: Parts, tmp_path: Path, headers: dict[str, str]
) -> None:
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "cloudevents", cloud(), **{**STRUCTURED, "Authorization": "", **headers})
    assert answer.status_code == 401
    assert pushes(parts) == {}


async def test_a_sender_of_cloudevents_may_ask_first_whether_it_may_send(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
        answer = await client.options("/webhooks/cloudevents", headers=asked)
        assert (await client.options("/webhooks/cloudevents")).status_code == 400
    assert answer.status_code == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "eventemitter.example.com"
    assert answer.headers["WebHook-Allowed-Rate"] == "120"


async def test_an_unknown_type_is_answered_and_starts_nothing(parts: Parts, tmp_path: Path) -> None:
    async with serving(parts, tmp_path) as client:
        answer = await post(client, "cloudevents", cloud("com.example.other"), **STRUCTURED)
        plain = await post(client, "cloudevents", {"hello": 1}, **BEARER)
    assert (answer.status_code, answer.json()["reason"]) == (200, "EventNotUsed")
    assert plain.status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
SHAPES: list[tuple[Any, dict[str, str], dict[str, Any]]] = [
    (Distribution(), {}, distribution(event())),
    (Harbor(), {}, HARBOR),
    (Ghcr(), {"x-github-event": "package", "x-github-delivery": "1"}, package("package")),
    (DockerHub(), {}, HUB),
    (Quay(), {"x-towpath-request": "1"}, QUAY),
    (CloudEvents(), {"content-type": "application/cloudevents+json"}, cloud("harbor.artifact.pushed", HARBOR)),
    (CloudEvents(), {"content-type": "application/cloudevents+json"}, cloud("dev.towpath.push", GIT)),
]


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in _places(each, (*at, key)))]


def _with(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(copy[at[0]], at[1:], new)
    return copy


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_stands_anywhere_in_a_payload_it_is_read_or_refused(data: st.DataObject) -> None:
    provider, headers, whole = data.draw(st.sampled_from(SHAPES))
    body = _with(whole, data.draw(st.sampled_from(_places(whole))), data.draw(JSON))
    try:
        document = provider.read(headers, json.dumps(body).encode())
        provider.addresses(document)
        events = provider.parse(headers, document)
    except (Problem, Failure):
        return
    assert events
