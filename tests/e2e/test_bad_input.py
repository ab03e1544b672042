"""What the live server and the API server refuse, and what that leaves behind: nothing."""

import json
import secrets
import socket
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import yaml

from deploy.local.engine import SERVER
from deploy.local.process import resident_bytes
from model.repository import normalise
from tests.e2e.application import Application
from tests.e2e.chapters import Begun
from tests.e2e.sender import ZERO
from tests.e2e.site import Site
from tests.e2e.telling import Telling

MEBIBYTE = 1024 * 1024
SENT_LIMIT = 200 * MEBIBYTE
GROWTH_LIMIT = 96 * MEBIBYTE
PROBLEM = "application/problem+json"
COMMIT = secrets.token_hex(20)

Refusal = Callable[[Site, str], httpx.Response]
REFUSED: dict[str, tuple[int, str, Refusal]] = {
    "unsigned": (
        401,
        "SignatureMissing",
        lambda site, url: site.sender.send(site.sender.push(url, COMMIT), {"X-Hub-Signature-256": ""}),
    ),
    "wrongly signed": (
        401,
        "SignatureWrong",
        lambda site, url: _signed_with(site, site.sender.push(url, COMMIT), "not-the-secret"),
    ),
    "signed as SHA-1": (
        401,
        "SignatureWrong",
        lambda site, url: site.sender.send(
            site.sender.push(url, COMMIT), {"X-Hub-Signature-256": "sha1=" + "0" * 40}
        ),
    ),
    "changed after it was signed": (
        401,
        "SignatureWrong",
        lambda site, url: site.sender.send(
            site.sender.push(url, COMMIT),
            {"X-Hub-Signature-256": site.sender.signature(site.sender.push(url, "0" * 39 + "1"))},
        ),
    ),
    "not JSON": (400, "MalformedPayload", lambda site, _: site.sender.send(b"{")),
    "nested without end": (400, "MalformedPayload", lambda site, _: site.sender.send(b"[" * 100_000)),
    "without a ref": (
        400,
        "MalformedPayload",
        lambda site, url: site.sender.send(json.dumps({"repository": {"url": url}, "after": COMMIT}).encode()),
    ),
    "without an event": (
        400,
        "EventMissing",
        lambda site, url: site.sender.send(site.sender.push(url, COMMIT), {"X-Towpath-Event": ""}),
    ),
    "a ref like an option": (
        400,
        "BadRef",
        lambda site, url: site.sender.send(site.sender.push(url, COMMIT, ref="--upload-pack=touch /tmp/x")),
    ),
    "a commit that is none": (
        400,
        "BadCommit",
        lambda site, url: site.sender.send(site.sender.push(url, "HEAD;reboot")),
    ),
    "an unknown repository": (
        404,
        "UnknownRepository",
        lambda site, url: site.sender.send(site.sender.push(f"{url}-unknown", COMMIT)),
    ),
    "an address like an option": (
        400,
        "BadRepositoryAddress",
        lambda site, _: site.sender.send(site.sender.push("--upload-pack=touch /tmp/x", COMMIT)),
    ),
    "an address that runs a command": (
        400,
        "BadRepositoryAddress",
        lambda site, _: site.sender.send(site.sender.push("ext::sh -c reboot", COMMIT)),
    ),
    "an address of a file": (
        400,
        "BadRepositoryAddress",
        lambda site, _: site.sender.send(site.sender.push("file:///etc", COMMIT)),
    ),
    "an unknown provider": (
        404,
        "NoSuchPage",
        lambda site, url: site.sender.send(site.sender.push(url, COMMIT), provider="sourceforge"),
    ),
}


@pytest.fixture(scope="module")
def known(site: Site, begun: dict[str, Begun], story: Telling) -> str:
    """The address of a repository that a component names, and the server knows. The story goes on meanwhile."""
    app = begun["hello-world"].app
    site.see.until("the component on the server", 20, lambda: site.see.component(app.name))
    return app.url


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_a_good_webhook_is_refused_with_its_reason_and_starts_nothing(
    site: Site, known: str, what: str
) -> None:
    status, reason, send = REFUSED[what]
    before = _deliveries(site, known)
    response = send(site, known)
    document = response.json()
    assert (response.status_code, document["reason"]) == (status, reason), document
    assert response.headers["content-type"] == PROBLEM
    assert {"type", "title", "status", "detail"} <= document.keys()
    _started_nothing(site, known, before)


def test_a_deleted_branch_and_a_ping_are_answered_and_start_no_build(site: Site, known: str) -> None:
    before = _deliveries(site, known)
    deleted = site.sender.send(site.sender.push(known, ZERO, before=COMMIT))
    assert (deleted.status_code, deleted.json()["workflow"].partition("/")[0]) == (202, "deleted")
    for provider, event in (("git", "X-Towpath-Event"), ("github", "X-GitHub-Event")):
        headers = {"X-Towpath-Event": "", "X-Towpath-Delivery": "1", "X-GitHub-Delivery": "1", event: "ping"}
        headers |= {"X-Towpath-Delivery": ""} if provider == "github" else {}
        assert site.sender.send(b'{"zen": "Keep it logically awesome."}', headers, provider).status_code == 200
    _started_nothing(site, known, before)


def test_a_body_that_says_it_is_too_large_is_answered_before_it_is_sent(site: Site, known: str) -> None:
    before = _deliveries(site, known)
    with _connection(site) as connection:
        connection.sendall(_head(site, f"Content-Length: {10 * 1024 * MEBIBYTE}"))
        assert _status(connection) == 413
    _started_nothing(site, known, before)


def test_an_endless_body_is_answered_early_and_not_kept_in_memory(site: Site, known: str) -> None:
    before, pid = _deliveries(site, known), site.stack.pid(SERVER)
    assert pid is not None
    memory = resident_bytes(pid)
    chunk = b"100000\r\n" + b" " * MEBIBYTE + b"\r\n"
    sent = 0
    with _connection(site) as connection:
        connection.sendall(_head(site, "Transfer-Encoding: chunked"))
        connection.settimeout(0.05)
        status = 0
        while not status and sent < SENT_LIMIT:
            try:
                connection.sendall(chunk)
                sent += MEBIBYTE
            except (TimeoutError, ConnectionError):
                pass
            status = _status(connection)
    assert status == 413
    assert sent < SENT_LIMIT
    assert site.stack.pid(SERVER) == pid
    assert resident_bytes(pid) - memory < GROWTH_LIMIT
    assert site.sender.send(b"{").status_code == 400
    _started_nothing(site, known, before)


def test_nothing_secret_of_what_was_sent_is_logged(site: Site, known: str) -> None:
    canaries = {
        name: f"canary-{secrets.token_hex(8)}" for name in ("signature", "token", "body", "address", "header")
    }
    host = urlsplit(known).netloc
    bodies = (
        site.sender.push(known, COMMIT, secret=canaries["body"]),
        site.sender.push(f"http://user:{canaries['address']}@{host}/x.git", COMMIT),
        json.dumps({"token": canaries["body"]}).encode(),
    )
    leaky = {"Authorization": f"Bearer {canaries['token']}", "X-Gitlab-Token": canaries["header"]}
    for body in bodies:
        site.sender.send(body, {"X-Hub-Signature-256": f"sha256={canaries['signature']}", **leaky})
        answer = site.sender.send(body, leaky)
        assert not [canary for canary in canaries.values() if canary in answer.text]
    signed = site.sender.signature(bodies[0]).removeprefix("sha256=")
    refused = httpx.get(
        f"{site.sender.url}/api/v1/components", headers={"Authorization": f"Bearer {canaries['token']}"},
        trust_env=False,
    )  # fmt: skip
    assert refused.status_code == 401
    # It is written after the answer, and this line after all others.
    marker = secrets.token_hex(8)
    site.sender.send(b"{", {"X-Towpath-Delivery": marker})
    site.see.until("the log", 10, lambda: marker in site.log(SERVER))
    log = site.log(SERVER)
    kept = [
        *canaries.values(),
        signed,
        site.environment["TOWPATH_WEBHOOK_SECRET"],
        site.environment["TOWPATH_TOKEN"],
    ]
    assert [secret for secret in kept if secret in log] == []


BAD_MANIFESTS: dict[str, tuple[tuple[str, ...], Any]] = {
    "spec.type": (("spec", "type"), "nonsense"),
    "spec.runtime": (("spec", "runtime"), "cobol"),
    "spec.endpoints[0].port": (("spec", "endpoints"), [{"name": "web", "port": 70_000}]),
    "spec.replicas": (("spec", "replicas"), -1),
    "spec.source": (("spec", "source"), {}),
    "spec.source.git.branch": (("spec", "source", "git", "branch"), "--upload-pack=x"),
    "spec.source.git.path": (("spec", "source", "git", "path"), "../../etc"),
    "spec.source.git.repository": (("spec", "source", "git", "repository"), ""),
}
BAD_ADDRESSES = (
    "--upload-pack=touch /tmp/x",
    "ext::sh -c reboot",
    "file:///etc",
    "/etc",
    "http://user:password@git.example/x.git",
    "https://git.example/x.git --upload-pack=y",
)


@pytest.mark.parametrize("field", BAD_MANIFESTS)
def test_a_manifest_that_does_not_validate_is_refused_naming_the_field(
    site: Site, application: Callable[..., Application], field: str
) -> None:
    path, value = BAD_MANIFESTS[field]
    assert field in _refused(site, application(Application.hello, "refused"), path, value)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_git_must_not_be_given_is_refused_by_the_api_server(
    site: Site, application: Callable[..., Application], address: str
) -> None:
    hello = application(Application.hello, "refused")
    assert "spec.source.git.repository" in _refused(site, hello, ("spec", "source", "git", "repository"), address)
    greeting = application(Application.greeting)
    path = ("spec", "workflow", "parameters", "repository", "url")
    assert "spec.workflow.parameters.repository.url" in _refused(site, greeting, path, address)


def _refused(site: Site, app: Application, path: tuple[str, ...], value: Any) -> str:
    """What the API server says of the application's component with one field changed."""
    component = next(obj for obj in app.objects if obj["kind"] == "Component")
    *parents, last = path
    place = component
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(RuntimeError) as refusal:
        site.see.kubectl(
            "apply",
            f"--namespace={site.namespace}",
            "--dry-run=server",
            "--filename=-",
            stdin=yaml.safe_dump(component),
        )
    return str(refusal.value)


def _signed_with(site: Site, body: bytes, secret: str) -> httpx.Response:
    return site.sender.send(body, {"X-Hub-Signature-256": site.sender.signature(body, secret)})


def _deliveries(site: Site, known: str) -> int:
    """How many pushes have been taken of repositories whose addresses begin like this one, of any branch."""
    beginning = f"push/{quote(normalise(known), safe='')}"
    return site.runs.count(f"WorkflowType = 'Delivery' AND WorkflowId STARTS_WITH '{beginning}'")


def _started_nothing(site: Site, known: str, before: int) -> None:
    """No Delivery more than before. What is accepted now is stored before it is answered, so a good push
    that is sent after the bad one, and seen, proves that the bad one would have been seen as well."""
    good = secrets.token_hex(20)
    accepted = site.sender.send(site.sender.push(known, good, ref="refs/heads/nobody-follows"))
    assert accepted.status_code == 202, accepted.text
    query = f"WorkflowType = 'Delivery' AND TowpathCommit = '{good}'"
    site.see.until("the good push", 20, lambda: site.runs.count(query) == 1)
    assert _deliveries(site, known) == before + 1
    assert site.runs.count(f"WorkflowType = 'Delivery' AND TowpathCommit = '{COMMIT}'") == 0


def _connection(site: Site) -> socket.socket:
    address = urlsplit(site.sender.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    # Closed at once in the end, whatever still lies in its buffers.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return connection


def _head(site: Site, length: str) -> bytes:
    lines = (
        "POST /webhooks/git HTTP/1.1",
        f"Host: {urlsplit(site.sender.url).netloc}",
        "Content-Type: application/json",
        "X-Towpath-Event: push",
        "X-Towpath-Delivery: endless",
        f"X-Hub-Signature-256: sha256={'0' * 64}",
        length,
    )
    return "\r\n".join((*lines, "", "")).encode()


def _status(connection: socket.socket) -> int:
    """The status of the answer; 0 while there is none."""
    try:
        answer = connection.recv(65_536)
    except TimeoutError:
        return 0
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
