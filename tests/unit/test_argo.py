"""The Argo Workflow of a build: what it may do, and what its status says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities import argo, argostatus
from activities.argo import BuildPlane
from deploy.builder.checkout import CREDENTIALS
from deploy.builder.plan import Plan
from model import labels
from model.build import BuildRequest
from model.commit import Commit
from model.component import BuildPlan, Component
from model.failure import UserFailure
from model.key import ComponentKey
from model.source import SourceLocation

PLANE = BuildPlane(
    registry="registry:5000",
    builders={name: f"registry:5000/builder-{name}" for name in ("dockerfile", "nodejs")},
    runtimes={"nodejs": "registry:5000/runtime-nodejs"},
    insecure=True,
)
NODE = BuildPlan(kind="runtime", runtime="nodejs")
DIGEST = f"sha256:{'a' * 64}"


def request(build: BuildPlan = NODE, secret: str = "", **changed: Any) -> BuildRequest:
    source = SourceLocation(url="https://git.example/team/app.git", secret=secret)
    component = Component(key=ComponentKey(namespace="team", name="app"), source=source, build=build)
    values = {"component": component, "commit": Commit(id="c" * 40), "branch": "main", "sequence": 7}
    return BuildRequest.model_validate({**values, **changed})


def template(manifest: dict[str, Any]) -> dict[str, Any]:
    (only,) = manifest["spec"]["templates"]
    return dict(only)


def test_runtime_build_needs_no_right_at_all() -> None:
    security = template(argo.manifest(request(), PLANE))["container"]["securityContext"]
    assert security == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_dockerfile_build_is_root_in_its_pod_and_nothing_more() -> None:
    security = template(argo.manifest(request(BuildPlan()), PLANE))["container"]["securityContext"]
    assert security == {
        "runAsUser": 0,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "towpath-buildah.json"},
    }


@pytest.mark.parametrize("build", [NODE, BuildPlan()])
def test_no_build_gets_a_token_a_host_path_or_endless_time(build: BuildPlan) -> None:
    manifest = argo.manifest(request(build), PLANE)
    spec = manifest["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["executor"] == {"serviceAccountName": "towpath-build"}
    assert "hostPath" not in json.dumps(manifest)
    assert "privileged" not in json.dumps(manifest)
    assert template(manifest)["activeDeadlineSeconds"] == 1800
    assert spec["ttlStrategy"]["secondsAfterCompletion"] >= 7 * 24 * 3600
    assert set(template(manifest)["container"]["resources"]) == {"requests", "limits"}


def test_identity_is_in_labels_and_the_same_for_the_same_attempt() -> None:
    first, again = argo.manifest(request(), PLANE), argo.manifest(request(), PLANE)
    assert first == again
    found = first["metadata"]["labels"]
    assert found[labels.SEQUENCE] == "7"
    assert found[labels.COMPONENT] == "app"
    assert first["metadata"]["annotations"][labels.WORKFLOW] == f"build/team/app/{'c' * 40}/1"
    second = argo.manifest(request(attempt=2), PLANE)["metadata"]
    assert second["name"] != first["metadata"]["name"]
    assert second["labels"][labels.SPEC_HASH] != found[labels.SPEC_HASH]


def test_a_previews_build_stands_beside_the_branchs_own_of_the_same_commit() -> None:
    own, preview, other = (argo.manifest(request(preview=change), PLANE)["metadata"] for change in ("", "7", "8"))
    assert len({made["name"] for made in (own, preview, other)}) == 3
    # Nothing that is built for one supersedes what is built for another.
    assert len({made["labels"][labels.BRANCH_HASH] for made in (own, preview, other)}) == 3
    assert preview["annotations"][labels.WORKFLOW].startswith("preview-build/")


def test_upgraded_plane_adopts_what_the_older_began() -> None:
    upgraded = PLANE.model_copy(update={"runtimes": {"nodejs": "registry:5000/newer"}})
    before, after = (argo.manifest(request(), plane)["metadata"]["labels"] for plane in (PLANE, upgraded))
    assert before[labels.SPEC_HASH] == after[labels.SPEC_HASH]


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4), st.text(max_size=40))
def test_nothing_people_write_is_seen_by_argos_templates(arguments: dict[str, str], path: str) -> None:
    build = BuildPlan(arguments={**arguments, "X": "{{workflow.name}}"}, file=path)
    manifest = argo.manifest(request(build), PLANE)
    assert "{{" not in json.dumps(manifest)
    (variable,) = template(manifest)["container"]["env"]
    plan = Plan.decode(variable["value"])
    assert plan.arguments == build.arguments
    assert plan.file == path


def test_source_secret_is_mounted_and_not_in_the_object() -> None:
    manifest = argo.manifest(request(secret="git-login"), PLANE)
    (volume,) = manifest["spec"]["volumes"]
    assert volume["secret"]["secretName"] == "git-login"
    (mount,) = template(manifest)["container"]["volumeMounts"]
    assert mount["mountPath"] == "/var/run/towpath/source"
    assert mount["readOnly"] is True


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (BuildPlan(kind="image", image="x"), "NothingToBuild"),
        (BuildPlan(kind="runtime", runtime="go"), "UnknownRuntime"),
    ],
)
def test_what_cannot_be_built_is_refused(build: BuildPlan, reason: str) -> None:
    with pytest.raises(UserFailure) as caught:
        argo.manifest(request(build), PLANE)
    assert caught.value.reason == reason


def test_credentials_folder_is_where_the_builder_looks() -> None:
    mounts = template(argo.manifest(request(secret="x"), PLANE))["container"]["volumeMounts"]
    assert Path(mounts[0]["mountPath"]) == CREDENTIALS


def workflow(phase: str, message: str = "", **more: Any) -> dict[str, Any]:
    node = {"type": "Pod", "phase": phase, "message": message, **more}
    return {"metadata": {"name": "x"}, "spec": {}, "status": {"phase": phase, "nodes": {"x": node}}}


@pytest.mark.parametrize(
    ("message", "fault", "reason", "words"),
    [
        ("main: Error (exit code 10): NpmFailed: npm ci failed: x", "user", "NpmFailed", "npm ci failed: x"),
        ("main: Error (exit code 10)", "user", "BuildFailed", "code 10"),
        ("main: Error (exit code 20): GitUnreachable: no route", "infrastructure", "GitUnreachable", "no route"),
        ("main: Error (exit code 1)", "infrastructure", "BuilderFailed", "code 1"),
        ("main: OOMKilled (exit code 137)", "infrastructure", "OOMKilled", "memory"),
        ("The node was low on resource: memory.", "infrastructure", "Evicted", "low on resource"),
        ("pod deleted", "infrastructure", "PodGone", "pod deleted"),
        ("Pod was active on the node longer than the specified deadline", "user", "BuildTimeout", "timeout"),
        ("", "infrastructure", "BuildError", "nothing"),
    ],
)
def test_whose_failure_it_was_is_told_from_argos_words(message: str, fault: str, reason: str, words: str) -> None:
    found = argostatus.fault(workflow("Failed", message))
    assert (found.phase, found.fault, found.reason) == ("failed", fault, reason)
    assert words in found.message


def test_stopped_build_is_cancelled_and_nobodys_failure() -> None:
    stopped = workflow("Failed", "main: Error (exit code 143)")
    stopped["spec"]["shutdown"] = "Terminate"
    assert argostatus.fault(stopped)[:2] == ("cancelled", "")


@given(st.text(max_size=300))
def test_any_message_gets_a_reason(message: str) -> None:
    found = argostatus.fault(workflow("Error", message))
    assert found.reason
    assert found.message
    assert found.fault in ("", "user", "infrastructure")


def test_digest_that_is_handed_out_ends_the_wait_unless_the_build_failed() -> None:
    parameters = [{"name": "digest", "value": DIGEST}, {"name": "workload"}]
    outputs: dict[str, Any] = {"outputs": {"parameters": parameters}}
    assert argostatus.has_delivered(workflow("Running", **outputs))
    assert not argostatus.has_delivered(workflow("Failed", **outputs))
    assert not argostatus.has_delivered(workflow("Running"))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("ErrImagePull: manifest unknown", "BuilderImageMissing"),
        ("Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", "Unschedulable"),
        ("CreateContainerConfigError: secret not found", "BuilderCannotStart"),
    ],
)
def test_build_that_does_not_get_going_has_limited_patience(message: str, reason: str) -> None:
    found = argostatus.waiting(workflow("Pending", message))
    assert found is not None
    assert found.reason == reason
    assert found.patience > 0


def test_waiting_its_turn_is_no_trouble() -> None:
    assert argostatus.waiting(workflow("Pending", "PodInitializing")) is None
    assert argostatus.waiting({"metadata": {"name": "x"}}) is None
