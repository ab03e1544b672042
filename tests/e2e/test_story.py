"""The main job, asserted from outside: the cluster, the registry, Git, and Temporal's histories."""

import hashlib
from typing import Any

import httpx

from tests.e2e.application import ENVIRONMENTS
from tests.e2e.chapters import (
    DELIVERIES,
    SECONDS_TO_FAIL,
    Arrival,
    Begun,
    Crash,
    Production,
    Race,
    Redelivered,
    Rollback,
    Sickness,
)
from tests.e2e.site import BUILD_PLANE, Site


def test_an_applied_component_reaches_staging_by_itself_and_production_waits_for_a_person(hello: Arrival) -> None:
    assert (hello.gate["phase"], hello.gate["reason"]) == ("at-gate", "AwaitingApproval")
    assert hello.running["development"] == hello.running["staging"] != ""
    assert hello.running["production"] == ""
    assert hello.deployments == {"development": 1, "staging": 1, "production": 0}


def test_after_the_approval_production_runs_that_very_digest(hello: Arrival, production: Production) -> None:
    assert production.digest == hello.running["staging"]
    for environment in ENVIRONMENTS:
        assert production.seen[environment].images == {production.digest}
        assert production.seen[environment].answer == f"version 1 ({environment})"


def test_what_is_deployed_is_what_the_registry_serves(site: Site, hello: Arrival, production: Production) -> None:
    deployments = [obj for environment in ENVIRONMENTS for obj in hello.app.objects_in(environment, "deployment")]
    assert len(deployments) == len(ENVIRONMENTS)
    for deployment in deployments:
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        repository, _, digest = image.removeprefix(f"{site.settings.registry}/").partition("@")
        served = httpx.get(
            f"http://{site.settings.registry}/v2/{repository}/manifests/{digest}",
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            trust_env=False,
        )
        assert served.status_code == 200
        assert f"sha256:{hashlib.sha256(served.content).hexdigest()}" == digest


def test_a_build_is_one_argo_workflow_and_its_digest_is_the_releases(
    site: Site, hello: Arrival, production: Production
) -> None:
    (workflow,) = hello.app.workflows(hello.first)
    outputs = workflow["status"]["nodes"][workflow["metadata"]["name"]]["outputs"]["parameters"]
    assert {"name": "digest", "value": production.digest}.items() <= _named(outputs, "digest").items()
    chosen = f"--selector=towpath.dev/commit={hello.first},openchoreo.dev/component=hello-world"
    (release,) = site.see.objects("componentreleases.openchoreo.dev", f"--namespace={site.namespace}", chosen)
    assert production.digest in str(release["spec"])


def test_openchoreos_form_with_a_dockerfile_is_built_and_answers(greeting: Begun) -> None:
    (pod,) = greeting.app.pods("development")
    assert pod["metadata"]["labels"]["openchoreo.dev/project"] == "shop"
    assert greeting.app.curl("development") == "Bonjour from development"


def test_kubectl_finds_pods_by_the_labels_of_both_groups(
    site: Site, hello: Arrival, production: Production
) -> None:
    for group in ("choreo.dev", "openchoreo.dev"):
        found = site.see.objects(
            "pod", "-A", f"-l={group}/component=hello-world,openchoreo.dev/namespace={site.namespace}"
        )
        labels = [pod["metadata"]["labels"] for pod in found]
        assert {label.get("openchoreo.dev/environment") for label in labels} >= set(ENVIRONMENTS)
        assert {label["openchoreo.dev/project"] for label in labels} == {"default"}
        assert {label["app.kubernetes.io/name"] for label in labels} == {"hello-world"}


def test_namespaces_enforce_pod_security(site: Site, production: Production) -> None:
    enforced = {
        namespace["metadata"]["name"]: namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
        for namespace in site.see.objects("namespace")
    }
    assert enforced[BUILD_PLANE] == "baseline"
    assert {enforced[name] for name in site.data_namespaces()} == {"restricted"}


def test_what_runs_has_no_token_and_no_privilege(hello: Arrival, greeting: Begun, production: Production) -> None:
    pods = [pod for environment in ENVIRONMENTS for pod in hello.app.pods(environment)]
    pods += greeting.app.pods("development")
    assert len(pods) >= 4
    for pod in pods:
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert _tokens(pod, container) == []
            assert _privileges(container) == []


def test_builds_have_no_token_and_no_privilege(site: Site, hello: Arrival, greeting: Begun) -> None:
    chosen = f"--selector=openchoreo.dev/namespace={site.namespace}"
    pods = site.see.objects("pod", f"--namespace={BUILD_PLANE}", chosen)
    built = {pod["metadata"]["labels"]["openchoreo.dev/component"] for pod in pods}
    assert built >= {"hello-world", "greeting-service"}
    for pod in pods:
        assert not pod["spec"].get("hostNetwork", False)
        containers = {container["name"]: container for container in pod["spec"]["containers"]}
        # Argo's own sidecar reports what has become of the build; what the repository brought may not.
        assert _tokens(pod, containers["main"]) == []
        assert [_privileges(container) for container in containers.values()] == [[]] * len(containers)


def test_the_log_of_a_build_can_be_read_when_its_pod_is_gone(site: Site, hello: Arrival) -> None:
    (workflow,) = hello.app.workflows(hello.first)
    pod = workflow["metadata"]["name"]
    site.see.kubectl("delete", "pod", pod, f"--namespace={BUILD_PLANE}", "--wait=true")
    told = site.towpath("logs", hello.app.key, "--build", hello.first)
    assert hello.first[:7] in told
    assert hello.running["development"] in told


def test_every_stage_leaves_an_event_that_the_faqs_kubectl_line_finds(
    site: Site, hello: Arrival, production: Production, crash: Crash
) -> None:
    wanted = {"BuildStarted", "BuildSucceeded", "Deploying", "Healthy", "AwaitingApproval", "RolledBack"}

    def reasons() -> set[str]:
        selector = "--field-selector=involvedObject.name=hello-world"
        return {event["reason"] for event in site.see.objects("event", f"--namespace={site.namespace}", selector)}

    site.see.until("the events", SECONDS_TO_FAIL, lambda: reasons() >= wanted)


def test_a_crash_loop_goes_back_within_seconds_and_the_other_environments_never_notice(
    hello: Arrival, crash: Crash
) -> None:
    assert crash.revision["result"] == "rolled-back"
    assert crash.revision["verdict"]["reason"] == "CrashLoop"
    assert crash.revision["finished_at"] - crash.revision["started_at"] < SECONDS_TO_FAIL
    assert crash.after == crash.before
    assert crash.after["development"].answer == "version 1 (development)"
    assert [hello.app.revisions(crash.commit, environment) for environment in ("staging", "production")] == [
        [],
        [],
    ]


def test_ready_pods_whose_health_endpoint_answers_500_go_back(sickness: Sickness) -> None:
    assert sickness.sick["result"] == "rolled-back"
    assert sickness.sick["verdict"]["reason"] == "HealthCheckFailed"
    assert "500" in sickness.sick["verdict"]["message"]
    assert sickness.sick["release"]["image"]["digest"] != sickness.good["release"]["image"]["digest"]
    commit = sickness.sick["release"]["commit"]["id"]
    assert sickness.app.revisions(commit, "staging") == []


def test_a_newer_push_ends_the_older_build_and_ships(hello: Arrival, race: Race) -> None:
    build = hello.app.built(race.older)
    assert build["phase"] == "superseded"
    (older,) = hello.app.workflows(race.older)
    assert older["spec"]["shutdown"] == "Terminate"
    assert older["status"]["phase"] == "Failed"
    assert hello.app.revisions(race.older, "development") == []
    for environment in ("development", "staging"):
        (revision,) = hello.app.revisions(race.newer, environment)
        assert revision["result"] == "healthy"
        assert revision["release"]["image"]["digest"] == race.digest


def test_identical_deliveries_at_once_start_one_pipeline(site: Site, redelivered: Redelivered) -> None:
    app, commit = redelivered.app, redelivered.commit
    workflows = {answer["workflow"] for answer in redelivered.answers}
    assert len(workflows) == 1
    assert sorted(answer["duplicate"] for answer in redelivered.answers) == [False] + [True] * (DELIVERIES - 1)
    assert site.runs.count(f"WorkflowType = 'Delivery' AND TowpathCommit = '{commit}'") == 1
    assert site.runs.count(f"WorkflowType = 'Build' AND TowpathCommit = '{commit}'") == 1
    assert len(app.workflows(commit)) == 1
    assert len(app.revisions(commit, "development")) == 1


def test_runs_are_found_by_component_and_environment(site: Site, hello: Arrival, crash: Crash) -> None:
    mine = f"TowpathComponent = '{hello.app.key}'"
    assert site.runs.found(f"{mine} AND WorkflowType = 'Lane' AND TowpathEnvironment = 'staging'") == [
        f"lane/{hello.app.key}/staging"
    ]
    rollouts = site.runs.found(f"{mine} AND TowpathEnvironment = 'development' AND WorkflowType = 'Rollout'")
    assert f"rollout/{hello.app.key}/development/{crash.revision['number']}" in rollouts
    found = site.runs.found(f"{mine} AND TowpathCommit = '{crash.commit}' AND WorkflowType = 'Build'")
    assert found == [f"build/{hello.app.key}/{crash.commit}/1"]


def test_current_details_tell_why_a_release_was_rolled_back(
    site: Site, hello: Arrival, crash: Crash, sickness: Sickness
) -> None:
    for app, revision, reason in (
        (hello.app, crash.revision, "CrashLoop"),
        (sickness.app, sickness.sick, "HealthCheckFailed"),
    ):
        rollout = site.runs.current_details(f"rollout/{app.key}/development/{revision['number']}")
        assert reason in rollout
        assert "rolled-back" in rollout
        release = revision["release"]["name"]
        assert reason in site.runs.current_details(f"lane/{app.key}/development")
        promotion = site.runs.current_details(f"promotion/{app.key}/{release}").splitlines()
        (row,) = [line for line in promotion if line.startswith("| development | rolled-back | ")]
        assert reason in row
        assert row.endswith(" |"), "a table's row is one line"


def test_a_rollback_by_hand_stays_although_a_newer_push_is_approved(
    hello: Arrival, production: Production, rollback: Rollback
) -> None:
    app = hello.app
    assert app.running("staging") not in ("", production.digest)
    assert app.image_ids("production") == {production.digest}
    assert app.curl("production") == "version 1 (production)"
    assert "operator" in rollback.held["message"]
    assert app.revisions(rollback.newest, "production") == []


def test_kubectl_shows_a_component_in_columns(site: Site, rollback: Rollback) -> None:
    header, row = site.see.kubectl(
        "get", "components.choreo.dev", "hello-world", f"--namespace={site.namespace}"
    ).splitlines()
    assert header.split() == ["NAME", "PROJECT", "STAGE", "READY", "RELEASE", "AGE"]
    assert row.split()[:2] == ["hello-world", "default"]
    assert "True" in row.split()
    assert f"hello-world-{rollback.newest[:7]}" in row


def test_deployments_of_one_lane_never_overlap(hello: Arrival, rollback: Rollback) -> None:
    for environment in ENVIRONMENTS:
        assert hello.app.overlaps(environment) == []


def _named(parameters: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(parameter for parameter in parameters if parameter["name"] == name)


def _tokens(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """The volumes by which a container gets at a service account's token."""
    holding = {
        volume["name"]
        for volume in pod["spec"].get("volumes", [])
        if any("serviceAccountToken" in source for source in volume.get("projected", {}).get("sources", []))
        or volume.get("secret", {}).get("secretName", "").endswith("service-account-token")
    }
    return [mount["name"] for mount in container.get("volumeMounts", []) if mount["name"] in holding]


def _privileges(container: dict[str, Any]) -> list[str]:
    context = container.get("securityContext") or {}
    found = ["privileged"] if context.get("privileged") else []
    return [*found, *(context.get("capabilities") or {}).get("add", [])]
