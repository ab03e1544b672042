"""`--cluster existing`, pointed at the local cluster as if somebody else had made it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.demo.observer import Observer
from deploy.demo.repository import Repository
from deploy.local.exports import exports
from deploy.local.progress import Quiet
from deploy.local.settings import Settings
from deploy.local.stack import Stack

# Its engine follows whatever others declare on the cluster.
pytestmark = [pytest.mark.stack, pytest.mark.alone, pytest.mark.timeout(900)]

HELLO = Path(__file__).parents[2] / "deploy" / "demo" / "apps" / "hello-world"
CLUSTER = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "containerd",
    "cilium-agent",
    "cilium-operator",
)
"""What a cluster of somebody else's consists of; everything else is the stack's own."""


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The stack on a cluster that is there, with a state of its own; the usual one is put back afterwards."""
    usual = Stack(Settings.from_environment(), Quiet())
    usual.up()
    own = [name for name in usual.supervisor.started() if name not in CLUSTER]
    for name in own:
        usual.supervisor.stop(name)
    state = tmp_path / "state"
    environment = {**os.environ, "TOWPATH_STATE": str(state), "KUBECONFIG": str(usual.settings.kubeconfig)}
    try:
        towpath(environment, "local", "up", "--cluster", "existing")
        settings = replace(usual.settings, state=state, cluster="existing")
        told = exports(settings)
        yield {**environment, **told, "PATH": os.pathsep.join((told["PATH"], os.environ["PATH"]))}
    finally:
        towpath(environment, "local", "down")
        alive = [name for name in CLUSTER if usual.pid(name) is None]
        usual.up()
    assert alive == [], "down stopped parts of a cluster that it had not made"


def towpath(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_push_reaches_staging_on_a_cluster_that_was_there(beside: Mapping[str, str]) -> None:
    namespace = f"existing-{uuid4().hex[:8]}"
    see = Observer(beside, namespace)
    repository = Repository(f"{beside['TOWPATH_GIT_URL']}/{namespace}/hello.git")
    manifest = f"""
apiVersion: choreo.dev/v1
kind: Component
metadata: {{name: hello, namespace: {namespace}}}
spec:
  type: service
  runtime: nodejs
  source: {{git: {{repository: {repository.url}}}}}
  endpoints: [{{name: web, port: 3000}}]
"""
    try:
        repository.fill(HELLO)
        commit = repository.commit("Say hello")
        repository.push()
        see.kubectl("create", "namespace", namespace)
        see.kubectl("apply", "--filename=-", stdin=manifest)
        see.until("staging", 180, lambda: see.phase("hello", commit, "staging").get("phase") == "healthy")
        assert see.curl(see.address("hello", "staging")) == "Hello, world, version 1 (staging)"
        see.kubectl("delete", "component.choreo.dev", "hello", f"--namespace={namespace}")
        see.until("its removal", 90, lambda: not see.address("hello", "staging"))
    finally:
        see.kubectl("delete", "namespace", namespace, "--wait=false")
        see.close()
        repository.close()
