"""The committed CustomResourceDefinitions."""

from typing import Any

from deploy import crds
from model import released, status
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.note import BuildNote, EnvironmentNote, Note
from model.release import Release
from model.resources.all import DECLARED
from model.resources.component_status import BuildStatus, ComponentStatus, EnvironmentStatus
from model.workload import Dependency, Endpoint, File, Variable, Workload


def nodes(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in nodes(item)]
    if not isinstance(node, dict):
        return []
    return [node, *(found for item in node.values() for found in nodes(item))]


def test_the_files_are_those_that_the_models_make() -> None:
    assert {path.name: path.read_text() for path in crds.FOLDER.glob("*.yaml")} == crds.files()


def test_no_two_kinds_share_a_name() -> None:
    names = [(model.declared_as.group, model.declared_as.plural) for model in DECLARED]
    assert len(set(names)) == len(names)


def test_schemas_use_no_keyword_that_the_api_server_refuses() -> None:
    refused = {
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "const",
        "default",
        "patternProperties",
        "propertyNames",
        "title",
    }
    for crd in crds.definitions():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for node in nodes(schema):
            if "type" in node and isinstance(node["type"], str):
                assert not refused & node.keys(), (crd["metadata"]["name"], node)


def test_both_components_show_the_same_columns() -> None:
    columns = {
        crd["spec"]["group"]: [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
        for crd in crds.definitions()
        if crd["spec"]["names"]["kind"] == "Component"
    }
    assert columns["choreo.dev"] == columns["openchoreo.dev"]
    assert columns["choreo.dev"] == ["Project", "Stage", "Ready", "Release", "Image", "Age"]


def test_the_status_has_a_place_for_everything_that_is_told() -> None:
    assert EnvironmentNote.model_fields.keys() <= EnvironmentStatus.model_fields.keys()
    assert BuildNote.model_fields.keys() <= BuildStatus.model_fields.keys()
    note = Note(
        component=Component(key=ComponentKey(name="web"), generation=3),
        reason="Deployed",
        message="m",
        stage="development: Healthy",
        build=BuildNote(workflow="w", commit="c", phase="running"),
        environment=EnvironmentNote(name="development", release="r", health="Healthy"),
        waiting=EnvironmentNote(name="production", waiting_release="r"),
        latest_release="r",
        latest_image="i",
        ready=True,
    )
    written = status.scalars(note, {})
    known = {field.alias for field in ComponentStatus.model_fields.values()}
    assert written.keys() <= known
    for _, fields in status.applied(note, {}, "2026-01-01T00:00:00Z"):
        assert fields.keys() <= known


def test_generations_only_rise_and_a_condition_that_stays_keeps_its_time() -> None:
    note = Note(
        component=Component(key=ComponentKey(name="web"), generation=3), reason="R", message="m", ready=True
    )
    before = {
        "observedGeneration": 7,
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "then"}],
    }
    assert status.scalars(note, before)["observedGeneration"] == 7
    assert status.applied(note, before, "now")[0][1]["conditions"][0]["lastTransitionTime"] == "then"
    turned = note.model_copy(update={"ready": False})
    assert status.applied(turned, before, "now")[0][1]["conditions"][0]["lastTransitionTime"] == "now"


def test_a_release_comes_back_from_its_component_release_as_it_was() -> None:
    release = Release(
        name="web-1111111-abcdef01",
        component=ComponentKey(name="web"),
        project="shop",
        commit=Commit(id="1" * 40, author="A", author_email="a@b", subject="snake_case stays"),
        image=Image(repository="r/web", digest="sha256:" + "a" * 64),
        workload=Workload(
            endpoints=(Endpoint(name="http", port=80, target_port=8080, base_path="/x"),),
            variables=(Variable(name="some_name", value="v"), Variable(name="P", secret="s", key="some_key")),
            files=(File(path="/etc/a", value="x"),),
            dependencies=(Dependency(component="ledger", endpoint="api", address_variable="L"),),
            command=("run",),
            args=("--x",),
            health_path="/h",
        ),
        sequence=1_763_700_000_000,
        build="build/default/web/1/1",
        branch="main",
    )
    manifest = released.manifest(release)
    assert released.release(manifest) == release
    assert manifest["spec"]["workload"]["container"]["image"] == release.image.reference
    del manifest["spec"]["towpath"]
    assert released.release(manifest) is None
