"""Who reaches what is deployed, tried with packets: pods of strangers, and declared endpoints."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy.local import images
from tests.e2e.chapters import Begun, Redelivered
from tests.e2e.site import Site

STRANGER = "stranger"
REFUSED = "refused: timeout"
_ASK = """
const http = require("node:http");
const asked = http.get(process.argv[1], {timeout: 3000}, (answer) => {
  answer.setEncoding("utf8");
  answer.on("data", (text) => process.stdout.write(text));
  answer.on("end", () => process.exit(0));
});
asked.on("timeout", () => { console.log("refused: timeout"); process.exit(0); });
asked.on("error", (error) => { console.log("refused: " + error.code); process.exit(0); });
"""


@pytest.fixture(scope="module")
def stranger(site: Site) -> Iterator[str]:
    """A pod in a namespace that Towpath does not manage, free to send what it likes."""
    namespace = f"{site.namespace}-stranger"
    site.see.kubectl("create", "namespace", namespace)
    try:
        site.see.kubectl("apply", "--filename=-", stdin=json.dumps(_pod(site, namespace)))
        site.see.kubectl(
            "wait", "pod", STRANGER, f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s"
        )
        yield namespace
    finally:
        site.see.kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_stranger_reaches_an_endpoint_that_is_declared_external(
    site: Site, greeting: Begun, stranger: str
) -> None:
    address = site.see.address(greeting.app.name, "development")
    assert _asks(site, stranger, STRANGER, address) == ["Bonjour from development"]


def test_a_stranger_is_kept_from_an_endpoint_of_the_project(
    site: Site, redelivered: Redelivered, stranger: str
) -> None:
    app = redelivered.app
    (pod,) = app.pods("development")
    addresses = (site.see.address(app.name, "development"), f"http://{pod['status']['podIP']}:3000/")
    assert _asks(site, stranger, STRANGER, *addresses) == [REFUSED] * 2
    # What is kept from strangers answers all the same.
    assert app.curl("development") == f"{app.version()} (development)"


def test_what_runs_reaches_nothing_that_it_has_not_declared(
    site: Site, redelivered: Redelivered, greeting: Begun
) -> None:
    (pod,) = redelivered.app.pods("development")
    addresses = (
        site.see.address(redelivered.app.name, "staging"),
        site.see.address(greeting.app.name, "development"),
        f"http://{site.settings.registry}/v2/",
        site.sender.url,
    )
    assert all(addresses)
    asked = _asks(site, pod["metadata"]["namespace"], pod["metadata"]["name"], *addresses)
    assert asked == [REFUSED] * len(addresses)


def _asks(site: Site, namespace: str, pod: str, *addresses: str) -> list[str]:
    """What a pod gets from addresses."""

    def ask(address: str) -> str:
        command = ("--container=main", "--", "node", "-e", _ASK, address)
        return site.see.kubectl("exec", pod, f"--namespace={namespace}", *command).strip()

    with ThreadPoolExecutor(max_workers=len(addresses)) as pool:
        return list(pool.map(ask, addresses))


def _pod(site: Site, namespace: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": images.reference(site.settings, "runtime-nodejs"),
        "command": ["node", "-e", "setInterval(() => {}, 1000)"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": STRANGER, "namespace": namespace},
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
        },
    }
