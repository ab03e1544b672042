"""The local stack's network: names resolve, policies count, and they count while the agent is down."""

import json
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from deploy.local.cilium import AGENT
from deploy.local.cluster import apply, kubectl
from deploy.local.errors import StackError
from deploy.local.progress import Quiet
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.integration.images import busybox

pytestmark = pytest.mark.stack

_PORT = 8080


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings.from_environment()


@pytest.fixture(scope="module")
def namespace(settings: Settings) -> Iterator[str]:
    """A namespace with a server that only friends may reach, a friend and a stranger."""
    name = f"network-{uuid4().hex[:8]}"
    image = busybox(settings).reference
    serve = f"mkdir -p /tmp/www && echo in >/tmp/www/index.html && exec httpd -f -p {_PORT} -h /tmp/www"
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        _pod("server", image, ["sh", "-c", serve], role="server"),
        _pod("friend", image, ["sleep", "3600"], role="friend"),
        _pod("stranger", image, ["sleep", "3600"], role="stranger"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {"selector": {"role": "server"}, "ports": [{"port": 80, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "friends-only"},
            "spec": {
                "podSelector": {"matchLabels": {"role": "server"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}]}],
            },
        },
    ]
    apply(settings, "--filename=-", stdin=json.dumps(objects[0]))
    rest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects[1:]})
    apply(settings, f"--namespace={name}", "--filename=-", stdin=rest)
    kubectl(settings, "-n", name, "wait", "--for=condition=Ready", "--timeout=60s", "pods", "--all")
    yield name
    kubectl(settings, "delete", "namespace", name, "--wait=false")


def _pod(name: str, image: str, command: list[str], role: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"role": role}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": image, "command": command}],
        },
    }


def _get(settings: Settings, namespace: str, pod: str, host: str) -> str:
    """What ``pod`` gets from ``host``; empty when it is not let in within three seconds."""
    request = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {host.replace(':', ' ')} | tail -n 1"
    try:
        return kubectl(settings, "-n", namespace, "exec", pod, "--", "sh", "-c", request).strip()
    except StackError:
        return ""


def _address(settings: Settings, namespace: str) -> str:
    return kubectl(settings, "-n", namespace, "get", "pod", "server", "-o", "jsonpath={.status.podIP}")


def test_a_friend_is_let_in_by_name_and_by_address(settings: Settings, namespace: str) -> None:
    assert _get(settings, namespace, "friend", "server:80") == "in"
    assert _get(settings, namespace, "friend", f"{_address(settings, namespace)}:{_PORT}") == "in"


def test_a_stranger_is_refused_by_name_and_by_address(settings: Settings, namespace: str) -> None:
    assert _get(settings, namespace, "stranger", "server:80") == ""
    assert _get(settings, namespace, "stranger", f"{_address(settings, namespace)}:{_PORT}") == ""


def test_the_host_reaches_pods_as_probes_do(settings: Settings, namespace: str) -> None:
    answer = httpx.get(f"http://{_address(settings, namespace)}:{_PORT}/", timeout=3, trust_env=False)
    assert answer.text.strip() == "in"


def test_pods_reach_the_git_server_but_not_what_is_for_debugging(settings: Settings, namespace: str) -> None:
    assert _get(settings, namespace, "stranger", settings.git_url.removeprefix("http://")) != ""
    assert _get(settings, namespace, "stranger", f"{settings.bridge_address}:{settings.argo_health_port}") == ""


@pytest.mark.alone
def test_policies_count_while_the_agent_is_down(settings: Settings, namespace: str) -> None:
    stack = Stack(settings, Quiet())
    stack.kill(AGENT)
    try:
        assert stack.pid(AGENT) is None
        assert _get(settings, namespace, "stranger", f"{_address(settings, namespace)}:{_PORT}") == ""
        assert _get(settings, namespace, "friend", f"{_address(settings, namespace)}:{_PORT}") == "in"
    finally:
        stack.restart(AGENT)
