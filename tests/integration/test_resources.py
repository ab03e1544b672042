"""The declared kinds and the Resources activities on a real API server, as the control worker's account."""

import asyncio
import dataclasses
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from temporalio.testing import ActivityEnvironment

from activities.apiserver import ApiServer
from activities.followers import Followers
from activities.resources import Binding, Resources
from activities.secrets import Secrets
from deploy import crds
from deploy.local.exports import exports
from deploy.local.settings import Settings
from model.actor import Actor
from model.commit import Commit
from model.component import Component
from model.failure import Conflict, InfrastructureFailure, NotFound, UserFailure
from model.image import Image
from model.key import ComponentKey
from model.note import BuildNote, EnvironmentNote, Note
from model.push import Push
from model.release import Release, release_name
from model.released import tag_labels
from model.workload import Workload
from tests.unit.manifests import HELLO_WORLD, TODAY, V08, WORKLOAD_TODAY, WORKLOAD_V08

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
RBAC = Path(crds.__file__).parent / "manifests" / "rbac"
OPENCHOREO = "openchoreo.dev/v1alpha1"


def kubectl(*arguments: str, text: str = "") -> str:
    """Run kubectl as a user would; AssertionError with its words when it refuses."""
    environment = {**os.environ, **exports(Settings.from_environment())}
    environment["PATH"] = environment["PATH"] + os.pathsep + os.environ["PATH"]
    done = subprocess.run(
        ["kubectl", *arguments],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin() -> AsyncIterator[ApiServer]:
    """The administrator's connection, with definitions and roles applied as installing does it."""
    server = await ApiServer.connect(str(Settings.from_environment().kubeconfig))
    for crd in crds.definitions():
        await server.apply(crd, "towpath-local")
    for name in ("control.yaml", "server.yaml", "secrets.yaml"):
        for obj in yaml.safe_load_all((RBAC / name).read_text()):
            await server.apply(obj, "towpath-local")
    kubectl("wait", "--for=condition=Established", "--timeout=30s", f"--filename={crds.FOLDER}")
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def control(admin: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """The control worker's own account: what it may not do fails here."""
    token = kubectl("create", "token", "towpath-control", "-n", "towpath-control-plane").strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("control") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    server = await ApiServer.connect(str(path))
    yield server
    await server.close()


@pytest.fixture(scope="module")
def resources(control: ApiServer) -> Resources:
    return Resources(control)


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(admin: ApiServer) -> AsyncIterator[str]:
    name = f"test-resources-{uuid.uuid4().hex[:8]}"
    await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await admin.delete("v1", "Namespace", name)


def manifest(text: str, namespace: str, **spec: Any) -> dict[str, Any]:
    obj: dict[str, Any] = yaml.safe_load(text)
    obj["metadata"]["namespace"] = namespace
    obj["spec"].update(spec)
    return obj


async def hello(admin: ApiServer, resources: Resources, namespace: str) -> Component:
    # Nobody listens there, so the stack's own engine keeps trying and writes nothing beside what the tests write.
    nowhere = f"http://{Settings.from_environment().bridge_address}:9/your-org/hello-world.git"
    await admin.create(manifest(HELLO_WORLD, namespace, source={"git": {"repository": nowhere}}))
    component = await resources.component(ComponentKey(namespace=namespace, name="hello-world"))
    assert component is not None
    return component


def release_of(component: Component, commit: str = "1" * 40, sequence: int = 1, **changes: Any) -> Release:
    image = Image(repository="registry/web", digest="sha256:" + "a" * 64)
    release = Release(
        name=release_name(component.key, commit, image, component.workload),
        component=component.key,
        project=component.project,
        commit=Commit(id=commit),
        image=image,
        workload=component.workload,
        sequence=sequence,
    )
    return release.model_copy(update=changes)


async def test_kubectl_applies_the_faqs_hello_world_verbatim(
    resources: Resources, namespace: str, admin: ApiServer
) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", text=HELLO_WORLD)
    component = await resources.component(ComponentKey(namespace=namespace, name="hello-world"))
    assert component is not None
    assert component.build.runtime == "nodejs"
    assert "hello-world" in kubectl("-n", namespace, "get", "components")


async def test_both_shapes_of_openchoreos_manifests_apply_and_keep_what_is_not_read(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    for text in (TODAY, V08, WORKLOAD_TODAY, WORKLOAD_V08):
        kubectl("-n", namespace, "apply", "-f", "-", text=yaml.safe_dump(manifest(text, namespace)))
    kept = await admin.get(OPENCHOREO, "Component", "greeting-service", namespace)
    assert kept is not None
    assert kept["spec"] == yaml.safe_load(TODAY)["spec"]
    endpoint = (await admin.list(OPENCHOREO, "Workload", namespace))[0]["spec"]["endpoints"]["greeter-api"]
    assert endpoint["schema"] == {"content": "openapi: 3.0"}
    for name, variable in (("greeting-service", "LOG_LEVEL"), ("reading-list", "MODE")):
        component = await resources.component(ComponentKey(namespace=namespace, name=name))
        assert component is not None
        assert component.workload.variables[0].name == variable


@pytest.mark.parametrize(
    ("text", "spec", "field"),
    [
        (HELLO_WORLD, {"endpoints": [{"name": "web", "port": 70_000}]}, "spec.endpoints[0].port"),
        (HELLO_WORLD, {"endpoints": [{"name": "Web!", "port": 80}]}, "spec.endpoints[0].name"),
        (HELLO_WORLD, {"runtime": "cobol"}, "spec.runtime"),
        (HELLO_WORLD, {"source": {"git": {}}}, "spec.source.git.repository"),
        (HELLO_WORLD, {"source": {"git": {"repository": "ext::sh -c id"}}}, "spec.source.git.repository"),
        (HELLO_WORLD, {"source": {"git": {"repository": "file:///etc"}}}, "spec.source.git.repository"),
        (HELLO_WORLD, {"source": {"git": {"repository": "--upload-pack=x"}}}, "spec.source.git.repository"),
        (HELLO_WORLD, {"source": {"git": {"repository": "https://a:b@c/d"}}}, "spec.source.git.repository"),
        (
            HELLO_WORLD,
            {"source": {"git": {"repository": "https://a/b", "branch": "-x"}}},
            "spec.source.git.branch",
        ),
        (HELLO_WORLD, {"source": {"git": {"repository": "https://a/b", "path": "../x"}}}, "spec.source.git.path"),
        (TODAY, {"owner": {"projectName": "No Name"}}, "spec.owner.projectName"),
        (TODAY, {"componentType": {"kind": "ClusterComponentType"}}, "spec.componentType.name"),
        (TODAY, {"autoBuild": "perhaps"}, "spec.autoBuild"),
        (
            TODAY,
            {"workflow": {"name": "x", "parameters": {"repository": {"url": "ext::sh"}}}},
            "spec.workflow.parameters.repository.url",
        ),
        (WORKLOAD_TODAY, {"endpoints": {"a": {"port": 0}}}, "spec.endpoints.a.port"),
    ],
)
async def test_bad_manifests_are_refused_by_the_api_server_naming_the_field(
    admin: ApiServer, namespace: str, text: str, spec: dict[str, Any], field: str
) -> None:
    with pytest.raises(UserFailure) as caught:
        await admin.create(manifest(text, namespace, **spec))
    assert caught.value.reason == "Invalid"
    assert field in caught.value.message


async def test_a_component_stays_in_its_project(admin: ApiServer, namespace: str) -> None:
    await admin.create(manifest(TODAY, namespace))
    with pytest.raises(UserFailure, match="owner"):
        await admin.apply(manifest(TODAY, namespace, owner={"projectName": "other"}))


async def test_a_recorded_release_is_one_and_never_changes(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    release = release_of(component)
    await resources.record_release(release)
    await resources.record_release(release.model_copy(update={"sequence": 9, "build": "another"}))
    assert await resources.releases(component.key) == [release]
    assert await resources.release(component.key, release.name) == release
    with pytest.raises(Conflict) as caught:
        await resources.record_release(release.model_copy(update={"workload": Workload(replicas=7)}))
    assert caught.value.reason == "ReleaseDiffers"
    for patch in ({"towpath": {"commit": {"id": "2" * 40}}}, {"componentProfile": {"unread": 1}}):
        with pytest.raises(UserFailure, match="immutable"):
            await admin.merge(OPENCHOREO, "ComponentRelease", release.name, namespace, {"spec": patch})
    assert await resources.release(component.key, release.name) == release


async def test_releases_are_newest_first_and_only_the_components_own(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    for sequence in (2, 3, 1):
        await resources.record_release(release_of(component, commit=str(sequence) * 40, sequence=sequence))
    assert [release.sequence for release in await resources.releases(component.key)] == [3, 2, 1]
    other = ComponentKey(namespace=namespace, name="other")
    assert await resources.releases(other) == []
    assert await resources.release(other, release_of(component).name) is None


def note(component: Component, **changes: Any) -> Note:
    return Note(component=component, reason="Deployed", message="development runs it", **changes)


async def test_a_retried_tell_leaves_one_event_and_kubectl_finds_it(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    first = ActivityEnvironment()
    for _ in range(2):
        await first.run(resources.tell, note(component))
    line = kubectl("-n", namespace, "get", "events", "--field-selector", "involvedObject.name=hello-world")
    assert line.count("Deployed") == 1
    again = ActivityEnvironment()
    again.info = dataclasses.replace(again.info, activity_id="another")
    await again.run(resources.tell, note(component))
    line = kubectl("-n", namespace, "get", "events", "--field-selector", "involvedObject.name=hello-world")
    assert line.count("Deployed") == 2
    assert "development runs it" in kubectl("-n", namespace, "describe", "component", "hello-world")


async def test_writers_of_the_status_leave_one_anothers_parts_alone(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    tell = ActivityEnvironment().run
    build = BuildNote(workflow="build/x", commit="1" * 40, phase="running", message="it runs")
    await tell(
        resources.tell,
        note(component, stage="Released", build=build, latest_release="hello-1", latest_image="r@sha256:1"),
    )
    for name in ("development", "staging"):
        running = EnvironmentNote(name=name, release="hello-1", health="Healthy", revision=1, message="x")
        await tell(resources.tell, note(component, stage=f"{name}: Healthy", environment=running, ready=True))
    waiting = EnvironmentNote(name="staging", waiting_release="hello-2", waiting_reason="AwaitingApproval")
    await tell(resources.tell, note(component, waiting=waiting))
    degraded = EnvironmentNote(name="development", release="hello-1", health="Degraded", revision=2)
    await tell(resources.tell, note(component, environment=degraded))
    kept = await admin.get("choreo.dev/v1", "Component", "hello-world", namespace)
    assert kept is not None
    status = kept["status"]
    assert status["stage"] == "staging: Healthy"
    assert status["project"] == "default"
    assert status["latestRelease"] == {"name": "hello-1", "image": "r@sha256:1"}
    assert status["build"]["phase"] == "running"
    places = {entry.pop("name"): entry for entry in status["environments"]}
    assert places == {
        "development": {"release": "hello-1", "health": "Degraded", "revision": 2},
        "staging": {
            "release": "hello-1",
            "health": "Healthy",
            "revision": 1,
            "message": "x",
            "waitingRelease": "hello-2",
            "waitingReason": "AwaitingApproval",
        },
    }
    assert [one["status"] for one in status["conditions"]] == ["True"]
    await tell(resources.tell, note(component, waiting=EnvironmentNote(name="staging")))
    kept = await admin.get("choreo.dev/v1", "Component", "hello-world", namespace)
    assert kept is not None
    assert "waitingRelease" not in kept["status"]["environments"][1]
    table = kubectl("-n", namespace, "get", "components").splitlines()
    assert table[0].split() == ["NAME", "PROJECT", "STAGE", "READY", "RELEASE", "AGE"]
    assert table[1].split()[:6] == ["hello-world", "default", "staging:", "Healthy", "True", "hello-1"]


async def test_telling_a_component_that_is_gone_is_no_failure(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    await admin.delete("choreo.dev/v1", "Component", "hello-world", namespace)
    await ActivityEnvironment().run(resources.tell, note(component, ready=False))
    await resources.bind(Binding(component=component, environment="development", release="r"))
    assert await resources.component(component.key) is None
    assert await admin.list(OPENCHOREO, "ReleaseBinding", namespace) == []


async def test_a_binding_follows_its_lane(admin: ApiServer, resources: Resources, namespace: str) -> None:
    component = await hello(admin, resources, namespace)
    for release in ("one", "two"):
        await resources.bind(Binding(component=component, environment="development", release=release))
    (binding,) = await admin.list(OPENCHOREO, "ReleaseBinding", namespace)
    assert binding["metadata"]["name"] == "hello-world-development"
    assert binding["spec"]["releaseName"] == "two"


async def test_the_default_pipeline_is_made_once_and_a_users_is_left_alone(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    made = await asyncio.gather(resources.pipeline(component), resources.pipeline(component))
    assert made[0] == made[1]
    assert [step.environment for step in made[0].steps] == ["development", "staging", "production"]
    assert [step.policy.approvals for step in made[0].steps] == [0, 0, 1]
    await admin.merge(OPENCHOREO, "Environment", "staging", namespace, {"spec": {"isProduction": True}})
    policy = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "PromotionPolicy",
        "metadata": {"name": "prod", "namespace": namespace},
        "spec": {"selector": {"environment": "production"}, "approvals": {"required": 2}, "stability": "1m"},
    }
    await admin.create(policy)
    again = await resources.pipeline(component)
    assert [step.policy.approvals for step in again.steps] == [0, 1, 2]
    assert again.step("production").policy.stability_seconds == 60


async def test_a_project_that_nobody_declared_is_said_so(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    await admin.create(manifest(TODAY, namespace))
    component = await resources.component(ComponentKey(namespace=namespace, name="greeting-service"))
    assert component is not None
    with pytest.raises(NotFound, match="shop"):
        await resources.pipeline(component)


async def test_a_push_finds_the_components_that_follow_it(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    address = f"git.example/{namespace}/app"
    git = {"git": {"repository": f"https://{address}.git"}}
    await admin.create(manifest(HELLO_WORLD, namespace, source=git))
    today = manifest(TODAY, namespace)
    today["spec"]["workflow"]["parameters"]["repository"] = {"url": f"git@{address.replace('/', ':', 1)}"}
    await admin.create(today)
    off = manifest(HELLO_WORLD, namespace, source=git, autoBuild=False)
    off["metadata"]["name"] = "switched-off"
    await admin.create(off)
    broken = manifest(TODAY, namespace, componentType=5)
    broken["metadata"]["name"] = "broken"
    await admin.create(broken)
    await admin.create(
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": {"url": f"https://{address}", "credentials": {"secretRef": {"name": "git-token"}}},
        }
    )
    push = Push(repository=address, url=f"https://{address}", ref="refs/heads/main", actor=Actor(name="a"))
    found = await resources.components_for(push)
    assert sorted(component.key.name for component in found) == ["greeting-service", "hello-world"]
    assert {component.source.secret for component in found if component.source} == {"git-token"}
    assert await resources.components_for(push.model_copy(update={"ref": "refs/heads/other"})) == []
    named = push.model_copy(update={"components": (ComponentKey(namespace=namespace, name="switched-off"),)})
    assert [component.key.name for component in await resources.components_for(named)] == ["switched-off"]
    # The Delivery of the applied manifest finds the same, when it is there first or later.
    theirs = Component(key=ComponentKey(namespace=namespace, name="broken"), api_version=OPENCHOREO)
    said = Note(
        component=theirs,
        type="Warning",
        reason="InvalidManifest",
        message="spec.componentType: no",
        of_manifest=True,
    )
    for _ in range(2):
        await ActivityEnvironment().run(resources.tell, said)
    complaint = kubectl("-n", namespace, "get", "events", "--field-selector", "involvedObject.name=broken")
    assert complaint.count("spec.componentType") == 1


async def test_filters_of_components_and_their_repository_say_who_follows(
    admin: ApiServer, control: ApiServer, namespace: str
) -> None:
    address = f"git.example/{namespace}/all"
    git = {"git": {"repository": f"https://{address}.git"}}
    own = {
        "plain": "",
        "releases": "branches: {include: [release/*]}",
        "tagged": "tags: {versions: '>=1.2 <2'}",
    }
    for name, text in own.items():
        made = manifest(HELLO_WORLD, namespace, source=git)
        made["metadata"]["name"] = name
        made["metadata"]["annotations"] = {"towpath.dev/filters": text}
        await admin.create(made)
    followers = Followers(control)
    following = asyncio.create_task(followers.run())
    resources = Resources(control, followers)
    push = Push(repository=address, url=f"https://{address}", ref="")

    async def who(ref: str) -> list[str]:
        found = await resources.components_for(push.model_copy(update={"ref": ref}))
        return sorted(component.key.name for component in found)

    try:
        async with asyncio.timeout(60):
            while not followers.of(address, "refs/heads/main"):  # noqa: ASYNC110  (an index tells it no other way)
                await asyncio.sleep(0.05)
        assert await who("refs/heads/main") == ["plain", "tagged"]
        assert await who("refs/heads/release/1") == ["releases"]
        assert await who("refs/tags/v1.3.0") == ["tagged"]
        assert await who("refs/tags/v2.0.0") == []
        repository = {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": "all", "namespace": namespace},
            "spec": {
                "url": f"https://{address}",
                "filters": {"tags": {"include": ["v*"]}, "paths": {"shared": ["libs/"]}},
            },
        }
        await admin.create(repository)
        async with asyncio.timeout(60):
            while followers.of(address, "refs/heads/main"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await who("refs/tags/v2.0.0") == ["plain", "releases"]
        [found] = [
            component
            for component in await resources.components_for(push.model_copy(update={"ref": "refs/heads/main"}))
            if component.key.name == "plain"
        ]
        assert found.filters.paths.shared == ("libs/",)
    finally:
        following.cancel()


async def test_a_tag_names_a_release_that_is_kept_and_changes_nothing_else_of_it(
    admin: ApiServer, control: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    release = release_of(component)
    await resources.record_release(release)
    labels = tag_labels("hello/v1.2.3+b7", "1.2.3+b7")
    patch = {"metadata": {"labels": labels}}
    await control.merge(OPENCHOREO, "ComponentRelease", release.name, namespace, patch)
    named = await resources.release(release.component, release.name)
    assert named == release.model_copy(update={"version": "1.2.3_b7"})
    await resources.record_release(release)
    with pytest.raises(UserFailure, match="immutable"):
        await control.merge(OPENCHOREO, "ComponentRelease", release.name, namespace, {"spec": {"towpath": None}})


async def test_a_broken_manifest_in_a_namespace_that_is_being_deleted_holds_up_nobody(
    admin: ApiServer, resources: Resources, namespace: str
) -> None:
    component = await hello(admin, resources, namespace)
    broken = manifest(TODAY, namespace, componentType=5)
    broken["metadata"]["finalizers"] = ["example.dev/wait"]
    await admin.create(broken)
    try:
        await admin.delete("v1", "Namespace", namespace)
        await admin.merge(OPENCHOREO, "Component", "greeting-service", namespace, {"spec": {"autoBuild": True}})
        await resources.components_for(Push(repository="git.example/x", url="x", ref="refs/heads/main"))
        await ActivityEnvironment().run(resources.tell, note(component))
    finally:
        await admin.merge(
            OPENCHOREO, "Component", "greeting-service", namespace, {"metadata": {"finalizers": None}}
        )


async def test_secrets_are_read_by_key_where_the_role_is_bound_and_nowhere_else(
    admin: ApiServer, control: ApiServer, namespace: str
) -> None:
    await admin.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "git-token", "namespace": namespace},
            "stringData": {"username": "u", "password": "p\n"},
        }
    )
    secrets = Secrets(control)
    with pytest.raises(UserFailure) as caught:
        await secrets.basic(namespace, "git-token")
    assert caught.value.reason == "Forbidden"
    role = next(
        obj for obj in yaml.safe_load_all((RBAC / "secrets.yaml").read_text()) if obj["kind"] == "RoleBinding"
    )
    role["metadata"]["namespace"] = namespace
    await admin.create(role)
    async with asyncio.timeout(10):
        while True:
            try:
                assert await secrets.basic(namespace, "git-token") == ("u", "p")
                break
            except UserFailure:  # the authoriser hears of the binding a moment later
                await asyncio.sleep(0.05)
    assert await secrets.read(namespace, "git-token", "username") == "u"
    assert await secrets.read(namespace, "git-token", "absent") is None
    assert await secrets.read(namespace, "absent", "username") is None
    assert await secrets.basic(namespace, "") is None
    with pytest.raises(NotFound):
        await secrets.basic(namespace, "absent")


async def test_the_control_worker_may_not_touch_what_runs(control: ApiServer, namespace: str) -> None:
    for kind in ("Pod", "ConfigMap", "Secret"):
        with pytest.raises(UserFailure) as caught:
            await control.list("v1", kind, namespace)
        assert caught.value.reason == "Forbidden"


async def test_a_watch_tells_of_every_change(admin: ApiServer, namespace: str) -> None:
    seen: list[tuple[str, str]] = []
    async with asyncio.timeout(20), aclosing(admin.watch("choreo.dev/v1", "Component", namespace)) as changes:
        async for change in changes:
            seen.append((change.type, change.object.get("metadata", {}).get("name", "")))
            if change.type == "SYNCED":
                await admin.create(manifest(HELLO_WORLD, namespace))
            elif change.type == "ADDED":
                await admin.apply(manifest(HELLO_WORLD, namespace, replicas=2))
            elif change.type == "MODIFIED":
                await admin.delete("choreo.dev/v1", "Component", "hello-world", namespace)
            else:
                break
    assert seen == [
        ("SYNCED", ""),
        ("ADDED", "hello-world"),
        ("MODIFIED", "hello-world"),
        ("DELETED", "hello-world"),
    ]


async def test_a_kind_that_is_not_installed_is_worth_another_try(admin: ApiServer) -> None:
    with pytest.raises(InfrastructureFailure) as caught:
        await admin.list("example.dev/v1", "Nothing")
    assert caught.value.reason == "KindNotServed"
