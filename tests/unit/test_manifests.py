"""What deploying a component makes."""

from typing import Any

import pytest

from model import labels
from model.connection import Connection
from model.failure import UserFailure
from model.manifests import bundle
from model.manifests.pod import CONTAINER
from model.rollout import RolloutRequest
from model.workload import Dependency, Endpoint, File, Variable, Workload
from tests.rollouts import HTTP, request, with_policy


def made(asked: RolloutRequest, *connections: Connection) -> dict[str, dict[str, Any]]:
    parts = bundle.parts(asked, connections)
    return {obj["kind"]: obj for obj in (*parts.around, parts.workload)}


def container(asked: RolloutRequest, *connections: Connection) -> dict[str, Any]:
    found: dict[str, Any] = bundle.parts(asked, connections).template["spec"]["containers"][0]
    return found


def variables(asked: RolloutRequest, *connections: Connection) -> dict[str, Any]:
    return {
        entry["name"]: entry.get("value", entry.get("valueFrom"))
        for entry in container(asked, *connections)["env"]
    }


def test_the_namespace_enforces_pod_security_restricted_and_denies_by_default() -> None:
    platform = bundle.platform(request().target)
    assert platform.namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    deny = platform.applied[0]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {obj["kind"] for obj in platform.once} == {"ResourceQuota", "LimitRange"}


@pytest.mark.parametrize("kind", ["service", "worker", "scheduled-task"])
def test_pods_are_as_pod_security_restricted_wants_them(kind: Any) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    spec = bundle.parts(request(Workload(kind=kind, schedule="@daily", endpoints=(HTTP,)))).template["spec"]
    main = spec["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert main["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "mountPath": "/tmp"} in main["volumeMounts"]
    assert set(main["resources"]) == {"requests", "limits"}


def test_no_pod_gets_a_token() -> None:
    asked = request()
    assert made(asked)["ServiceAccount"]["automountServiceAccountToken"] is False
    assert bundle.parts(asked).template["spec"]["automountServiceAccountToken"] is False


def test_everything_carries_the_labels_of_both_groups() -> None:
    asked = request(Workload(endpoints=(HTTP,), replicas=2, files=(File(path="/etc/a", value="x"),)))
    parts = bundle.parts(asked)
    wanted = labels.for_component(asked.release.component, "shop", "development")
    assert wanted["choreo.dev/component"] == wanted["openchoreo.dev/component"] == "web"
    for obj in (*parts.around, parts.workload, parts.template):
        assert wanted.items() <= obj["metadata"]["labels"].items()
    assert {obj["kind"] for obj in parts.around} == {
        "ServiceAccount",
        "NetworkPolicy",
        "ConfigMap",
        "Service",
        "PodDisruptionBudget",
    }


def test_the_image_goes_by_digest_and_pods_are_never_taken_away_before_their_successors_are_ready() -> None:
    deployment = made(request())["Deployment"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith("@sha256:" + "a" * 64)
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_going_back_gives_the_older_template_to_the_letter() -> None:
    first = bundle.parts(request(revision=1, fence=2))
    again = bundle.parts(request(revision=7, fence=15))
    assert first.template == again.template
    assert first.workload["metadata"]["annotations"] != again.workload["metadata"]["annotations"]


def test_templates_differ_wherever_releases_or_rules_do() -> None:
    hashes = {
        bundle.parts(asked).template["metadata"]["annotations"][labels.SPEC_HASH]
        for asked in (
            request(),
            request(commit="2" * 40),
            request(Workload(endpoints=(HTTP,), variables=(Variable(name="A", value="1"),))),
            with_policy(request(), deadline_seconds=900),
        )
    }
    assert len(hashes) == 4


def test_probes_connect_to_the_first_endpoint_unless_a_health_path_is_named() -> None:
    main = container(request())
    assert main["readinessProbe"]["tcpSocket"] == {"port": 8080}
    main = container(request(Workload(endpoints=(HTTP,), health_path="/live")))
    assert main["readinessProbe"]["httpGet"] == {"path": "/live", "port": 8080}
    assert "tcpSocket" in main["livenessProbe"]
    assert main["startupProbe"]["failureThreshold"] >= 60


def test_a_worker_has_no_address_and_no_probes() -> None:
    asked = request(Workload(kind="worker", endpoints=(HTTP,)))
    assert "Service" not in made(asked)
    assert not {"startupProbe", "readinessProbe", "livenessProbe", "ports"} & set(container(asked))


def test_a_scheduled_task_is_a_cron_job_and_needs_a_schedule() -> None:
    assert made(request(Workload(kind="scheduled-task", schedule="*/5 * * * *")))["CronJob"]["spec"]["schedule"]
    with pytest.raises(UserFailure) as failure:
        made(request(Workload(kind="scheduled-task")))
    assert failure.value.reason == "ScheduleMissing"


def test_the_app_is_told_its_port_and_who_it_is_and_the_users_word_is_last() -> None:
    told = variables(request())
    assert told["PORT"] == "8080"
    assert (told["TOWPATH_ENVIRONMENT"], told["TOWPATH_COMMIT"]) == ("development", "1" * 40)
    own = Workload(
        endpoints=(HTTP,), variables=(Variable(name="PORT", value="9"), Variable(name="KEY", secret="s", key="k"))
    )
    told = variables(request(own))
    assert told["PORT"] == "9"
    assert told["KEY"] == {"secretKeyRef": {"name": "s", "key": "k"}}


def test_dependencies_are_let_out_to_and_told_of() -> None:
    dependency = Dependency(
        component="api",
        endpoint="http",
        address_variable="API",
        host_variable="API_HOST",
        port_variable="API_PORT",
    )
    found = Connection(
        dependency=dependency,
        namespace="dp-other",
        component="api",
        service="api",
        port=80,
        target_port=8080,
        application_protocol="http",
    )
    asked = request(Workload(endpoints=(HTTP,), dependencies=(dependency,)))
    told = variables(asked, found)
    assert (told["API"], told["API_HOST"], told["API_PORT"]) == (
        "http://api.dp-other.svc:80",
        "api.dp-other.svc",
        "80",
    )
    rule = made(asked, found)["NetworkPolicy"]["spec"]["egress"][0]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert rule["to"][0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "dp-other"}}
    assert rule["to"][0]["podSelector"]["matchLabels"][labels.COMPONENT] == "api"


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        (("project",), {"same namespace", "the project's previews"}),
        (("namespace",), {"same namespace", "same environment", "all previews"}),
        (("internal",), {"same namespace", "anything of towpath", "the project's previews"}),
        (("project", "external"), {"anywhere"}),
    ],
)
def test_callers_are_let_in_by_visibility(visibility: Any, expected: set[str]) -> None:
    asked = request(Workload(endpoints=(Endpoint(name="http", port=80, target_port=8080, visibility=visibility),)))
    (rule,) = made(asked)["NetworkPolicy"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    let_in = {"anywhere"} if "from" not in rule else set()
    for peer in rule.get("from", []):
        chosen = peer.get("namespaceSelector", {}).get("matchLabels", {})
        if "podSelector" in peer:
            let_in.add("same namespace")
        elif labels.NEIGHBOURS in chosen:
            assert (chosen[labels.NAMESPACE], chosen[labels.NEIGHBOURS]) == ("default", "development")
            let_in.add("the project's previews" if labels.PROJECT in chosen else "all previews")
        elif labels.ENVIRONMENT in chosen:
            assert chosen[labels.NAMESPACE] == "default"
            let_in.add("same environment")
        elif labels.MANAGED_BY in chosen:
            let_in.add("anything of towpath")
    assert let_in == expected


def test_a_changed_file_is_another_config_map_so_that_pods_roll() -> None:
    def name(value: str) -> str:
        asked = request(Workload(endpoints=(HTTP,), files=(File(path="/etc/app.conf", value=value),)))
        return str(made(asked)["ConfigMap"]["metadata"]["name"])

    assert name("a") == name("a") != name("b")


def test_files_are_mounted_one_by_one_and_secrets_by_name() -> None:
    files = (File(path="/etc/app.conf", value="x"), File(path="/etc/key", secret="tls", key="tls.key"))
    asked = request(Workload(endpoints=(HTTP,), files=files))
    mounts = {mount["mountPath"]: mount for mount in container(asked)["volumeMounts"]}
    assert mounts["/etc/app.conf"]["subPath"] == "file-0"
    assert mounts["/etc/key"] == {
        "name": "secret-0",
        "mountPath": "/etc/key",
        "subPath": "tls.key",
        "readOnly": True,
    }
    volumes = bundle.parts(asked).template["spec"]["volumes"]
    assert {"name": "secret-0", "secret": {"secretName": "tls"}} in volumes


def test_files_too_large_for_a_config_map_are_refused() -> None:
    with pytest.raises(UserFailure) as failure:
        made(request(Workload(files=(File(path="/big", value="x" * 1_000_000),))))
    assert failure.value.reason == "FilesTooLarge"


def test_a_low_port_needs_no_root() -> None:
    low = request(Workload(endpoints=(Endpoint(name="http", port=80),)))
    sysctls = bundle.parts(low).template["spec"]["securityContext"]["sysctls"]
    assert sysctls == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]


def test_the_disruption_budget_comes_with_more_than_one_replica() -> None:
    assert "PodDisruptionBudget" not in made(request())
    assert made(request(Workload(replicas=3)))["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_the_services_port_is_the_endpoints() -> None:
    (port,) = made(request())["Service"]["spec"]["ports"]
    assert port == {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "appProtocol": "http"}


def test_the_container_is_the_one_that_health_looks_at() -> None:
    assert container(request())["name"] == CONTAINER
