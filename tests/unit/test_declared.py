"""What a declared component means to the engine."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import declared
from model.component import BuildPlan, Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.source import SourceLocation
from model.workload import Dependency, Endpoint, File, Variable
from tests.unit.manifests import HELLO_WORLD, TODAY, V08, WORKLOAD_TODAY, WORKLOAD_V08, loaded


def test_the_faqs_hello_world_is_a_nodejs_service_in_the_default_project() -> None:
    component = declared.component(loaded(HELLO_WORLD))
    assert component.key == ComponentKey(name="hello-world")
    assert component.api_version == "choreo.dev/v1"
    assert component.project == "default"
    assert component.source == SourceLocation(url="https://github.com/your-org/hello-world")
    assert component.build == BuildPlan(kind="runtime", runtime="nodejs")
    assert component.workload.kind == "service"
    assert component.workload.endpoints == (Endpoint(name="web", port=3000),)
    assert component.auto_build
    assert component.auto_deploy


def test_openchoreos_component_of_today() -> None:
    component = declared.component(loaded(TODAY), loaded(WORKLOAD_TODAY))
    assert component.project == "shop"
    assert component.source == SourceLocation(
        url="https://github.com/openchoreo/sample-workloads",
        branch="develop",
        app_path="service-go-greeter",
        secret="git-token",
    )
    assert component.build == BuildPlan(
        kind="dockerfile",
        file="service-go-greeter/Dockerfile",
        context="service-go-greeter",
        arguments={"VERSION": "1"},
        environment={"CGO_ENABLED": "0"},
    )
    workload = component.workload
    assert (workload.replicas, workload.cpu_request, workload.cpu_limit) == (2, "100m", "1")
    assert (workload.memory_request, workload.memory_limit) == ("64Mi", "512Mi")
    assert workload.health_path == "/greeter/health"
    assert workload.args == ("--port", "9090")
    assert workload.endpoints == (
        Endpoint(name="greeter-api", port=80, target_port=9090, visibility=("external",), base_path="/greeter"),
    )
    assert workload.variables == (
        Variable(name="LOG_LEVEL", value="info"),
        Variable(name="PASSWORD", secret="database", key="password"),
    )
    assert workload.files == (File(path="/etc/app.toml", value="a = 1"),)
    assert workload.dependencies == (
        Dependency(component="ledger", endpoint="api", address_variable="LEDGER_URL", host_variable="LEDGER_HOST"),
    )


def test_openchoreos_component_of_v08() -> None:
    component = declared.component(loaded(V08), loaded(WORKLOAD_V08))
    assert component.workload.kind == "web-application"
    assert component.source == SourceLocation(
        url="git@github.com:openchoreo/sample-workloads.git", app_path="reading-list"
    )
    assert component.build == BuildPlan(kind="runtime", runtime="nodejs", context="reading-list")
    assert component.auto_build
    assert not component.auto_deploy
    assert component.workload.variables == (Variable(name="MODE", value="live"),)
    assert component.workload.dependencies == (
        Dependency(component="ledger", project="shop", endpoint="api", address_variable="LEDGER_URL"),
    )


def test_without_endpoints_a_service_listens_on_8080_and_a_worker_on_nothing() -> None:
    manifest = loaded(TODAY)
    assert declared.component(manifest).workload.endpoints == (Endpoint(name="http", port=8080),)
    manifest["spec"]["parameters"]["port"] = 9000
    assert declared.component(manifest).workload.endpoints == (Endpoint(name="http", port=9000),)
    worker = loaded(TODAY)
    worker["spec"]["componentType"]["name"] = "deployment/worker"
    assert declared.component(worker).workload.endpoints == ()


def test_a_component_that_brings_its_image_builds_nothing() -> None:
    manifest = loaded(TODAY)
    del manifest["spec"]["workflow"]
    component = declared.component(manifest, loaded(WORKLOAD_TODAY))
    assert component.source is None
    assert component.build == BuildPlan(kind="image", image="ghcr.io/openchoreo/greeter:1")


@pytest.mark.parametrize(
    ("name", "runtime"),
    [("nodejs-buildpack", "nodejs"), ("python-buildpacks-builder", "python"), ("buildpack-nodejs", "nodejs")],
)
def test_builders_named_for_a_runtime_build_it(name: str, runtime: str) -> None:
    manifest = loaded(TODAY)
    manifest["spec"]["workflow"]["name"] = name
    assert declared.component(manifest).build.runtime == runtime


def at(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    place = changed
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    return changed


@pytest.mark.parametrize(
    ("text", "path", "value", "field"),
    [
        (HELLO_WORLD, "spec.endpoints.0.port", 70_000, "spec.endpoints.0.port"),
        (HELLO_WORLD, "spec.runtime", "cobol", "spec.runtime"),
        (HELLO_WORLD, "spec.source.git.repository", "ext::sh -c id", "spec.source.git.repository"),
        (HELLO_WORLD, "spec.source.git.repository", "file:///etc/passwd", "spec.source.git.repository"),
        (HELLO_WORLD, "spec.source.git.repository", "--upload-pack=id", "spec.source.git.repository"),
        (HELLO_WORLD, "spec.source.git.repository", "https://u:secret@h/x", "spec.source.git.repository"),
        (HELLO_WORLD, "spec.source.git.branch", "--help", "spec.source.git.branch"),
        (HELLO_WORLD, "spec.source.git.branch", "a..b", "spec.source.git.branch"),
        (HELLO_WORLD, "spec.source.git.path", "../up", "spec.source.git.path"),
        (HELLO_WORLD, "spec.source.git.path", "/-x", "spec.source.git.path"),
        (HELLO_WORLD, "spec.type", "scheduled-task", "schedule"),
        (TODAY, "spec.componentType", 5, "spec.componentType"),
        (TODAY, "spec.componentType.name", "job/thing", "spec.componentType.name"),
        (TODAY, "spec.workflow.name", "ballerina-builder", "spec.workflow.name"),
        (TODAY, "spec.workflow.name", "google-cloud-buildpacks", "spec.workflow.parameters.runtime"),
        (TODAY, "spec.workflow.parameters.repository.url", None, "spec.workflow.parameters.repository.url"),
        (TODAY, "spec.parameters.replicas", "many", "spec.parameters.replicas"),
        (TODAY, "spec.parameters.resources.limits.memory", "-1", "spec.parameters.resources.limits.memory"),
        (TODAY, "spec.autoDeploy", "perhaps", "spec.autoDeploy"),
        (TODAY, "spec.owner.projectName", "No Name", "spec.owner.projectName"),
    ],
)
def test_what_cannot_be_used_is_refused_by_field(text: str, path: str, value: Any, field: str) -> None:
    with pytest.raises(UserFailure) as caught:
        declared.component(at(loaded(text), path, value))
    assert field in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("spec.endpoints", {"a": {"port": 1}, "b": {"port": 1}}, "spec.endpoints.b.port"),
        ("spec.container.env", [{"value": "x"}], "spec.container.env.0"),
        ("spec.container.env", [{"key": "A", "valueFrom": {"other": 1}}], "spec.container.env.0.valueFrom"),
        ("spec.container.files", [{"mountPath": "/a/../b"}], "spec.container.files.0.mountPath"),
        ("spec.connections", {"a": {"type": "api"}}, "spec.connections.a.params.componentName"),
    ],
)
def test_a_workload_that_cannot_be_used_is_refused_by_field(path: str, value: Any, field: str) -> None:
    with pytest.raises(UserFailure) as caught:
        declared.component(loaded(TODAY), at(loaded(WORKLOAD_TODAY), path, value))
    assert field in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["..", "-x", "a/b", "main"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        items: list[tuple[str | int, Any]] = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    return [spot for key, item in items for spot in ((*path, key), *places(item, (*path, key)))]


def replace(manifest: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


SAMPLES = [yaml.safe_load(text)["spec"] for text in (HELLO_WORLD, TODAY, V08)]
WORKLOADS = [yaml.safe_load(text)["spec"] for text in (WORKLOAD_TODAY, WORKLOAD_V08)]


@st.composite
def damaged(draw: st.DrawFn, specs: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    index = draw(st.integers(0, len(specs) - 1))
    spec: dict[str, Any] = copy.deepcopy(specs[index])
    for _ in range(draw(st.integers(1, 3))):
        spots = places(spec)
        if spots:
            spec = replace(spec, draw(st.sampled_from(spots)), draw(JSON))
    return index, spec


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged(SAMPLES), st.none() | damaged(WORKLOADS))
def test_any_manifest_gives_a_component_or_a_refusal(
    component: tuple[int, dict[str, Any]], workload: tuple[int, dict[str, Any]] | None
) -> None:
    index, spec = component
    manifest = loaded((HELLO_WORLD, TODAY, V08)[index]) | {"spec": spec}
    beside = (
        None if workload is None else loaded((WORKLOAD_TODAY, WORKLOAD_V08)[workload[0]]) | {"spec": workload[1]}
    )
    try:
        made = declared.component(manifest, beside)
    except UserFailure as failure:
        assert "spec" in failure.message  # noqa: PT017  (either outcome is right)
    else:
        assert isinstance(made, Component)
        assert made == Component.model_validate_json(made.model_dump_json())
