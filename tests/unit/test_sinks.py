"""Sending to a subscriber over real HTTP: what arrives, and what is said when it does not."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from activities.outbound import Outbound
from activities.sinks import Sinks
from model.cloudevent import CloudEvent
from model.destination import Reach
from model.outbox import Batch
from model.subscription import SubscriptionKey

SECRET = "canary-secret-4711"
KEY = SubscriptionKey(namespace="default", name="chat")


class Receiver:
    """An HTTP server that answers as scripted and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                headers = {"": line.decode().strip()}
                while (header := (await reader.readline()).strip()) != b"":
                    name, _, text = header.decode().partition(": ")
                    headers[name.lower()] = text
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((headers, body))
                status = self.answers.pop(0) if self.answers else b"204 No Content\r\n"
                writer.write(b"HTTP/1.1 " + status + b"Content-Length: 0\r\n\r\n")
                await writer.drain()
        finally:
            writer.close()


class Cluster:
    """A Subscription and the secrets of its namespace."""

    def __init__(self, spec: dict[str, Any] | None) -> None:
        self.spec = spec
        self.status: dict[str, Any] = {}

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        if self.spec is None:
            return None
        metadata = {"name": name, "namespace": namespace}
        return {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": metadata,
            "spec": self.spec,
            "status": self.status,
        }

    async def merge(
        self, api_version: str, kind: str, name: str, namespace: str, patch: dict[str, Any], subresource: str = ""
    ) -> None:
        assert subresource == "status"
        self.status |= patch["status"]

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return {"hook": SECRET, "standard": f"whsec_{base64.b64encode(b'key').decode()}"}.get(name)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


def sinks(cluster: Cluster, *hosts: str) -> Sinks:
    return Sinks(cluster, cluster, Outbound(Reach(hosts=hosts)))


def spec(receiver: Receiver, secret: str = "", kind: str = "hmac") -> dict[str, Any]:
    made: dict[str, Any] = {"sink": f"http://127.0.0.1:{receiver.port}/hook?channel=1"}
    if secret:
        made["authentication"] = {"type": kind, "secretRef": {"name": secret}}
    return made


def event(number: int, subject: str = "default/web") -> CloudEvent:
    return CloudEvent(
        id=f"{subject}#{number}",
        type="dev.towpath.build.started",
        source="/towpath",
        subject=subject,
        time="2026-11-21T17:24:00Z",
        data={"reason": "BuildStarted"},
    )


def batch(*lines: tuple[CloudEvent, ...]) -> Batch:
    return Batch(subscription=KEY, events=lines, waiting=sum(map(len, lines)))


async def test_an_event_arrives_as_a_structured_cloudevent_that_is_signed(receiver: Receiver) -> None:
    cluster = Cluster(spec(receiver, "standard"))
    sent = await sinks(cluster, "127.0.0.1").deliver(batch((event(1),)))
    assert sent.delivered == ("default/web#1",)
    ((headers, body),) = receiver.requests
    assert headers[""] == "POST /hook?channel=1 HTTP/1.1"
    assert headers["content-type"].startswith("application/cloudevents+json")
    document = json.loads(body)
    assert (document["specversion"], document["id"], document["subject"]) == (
        "1.0",
        "default/web#1",
        "default/web",
    )
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"key", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert cluster.status["state"] == "Delivering"
    assert cluster.status["waiting"] == 0


async def test_a_bearer_token_goes_with_it_and_is_told_nobody_else(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = Cluster(spec(receiver, "hook", "bearer"))
    receiver.answers = [b"500 Internal Server Error\r\n"]
    sent = await sinks(cluster, "127.0.0.1").deliver(batch((event(1),)))
    assert receiver.requests[0][0]["authorization"] == f"Bearer {SECRET}"
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert SECRET not in repr(sent) + repr(cluster.status) + "".join(lines)


async def test_after_a_failure_the_later_events_of_the_subject_wait_and_others_arrive(receiver: Receiver) -> None:
    cluster = Cluster(spec(receiver))
    busy = b"503 Service Unavailable\r\nRetry-After: 7\r\n"
    # Subjects go side by side: whichever asks first is turned away.
    receiver.answers = [busy]
    sent = await sinks(cluster, "127.0.0.1").deliver(
        batch((event(1), event(2)), (event(1, "default/api"), event(2, "default/api")))
    )
    (trouble,) = sent.troubles
    assert (trouble.retry_after, trouble.refused) == (7, False)
    other = {"default/web": "default/api", "default/api": "default/web"}[trouble.subject]
    assert sent.delivered == (f"{other}#1", f"{other}#2")
    assert (cluster.status["state"], cluster.status["waiting"]) == ("Failing", 2)
    assert "503" in cluster.status["message"]


@pytest.mark.parametrize(("status", "refused"), [(b"400 Bad", True), (b"401 No", False), (b"500 Oh", False)])
async def test_what_the_content_is_blamed_for_is_told_from_what_may_pass(
    receiver: Receiver, status: bytes, refused: bool
) -> None:
    receiver.answers = [status + b"\r\n"]
    sent = await sinks(Cluster(spec(receiver)), "127.0.0.1").deliver(batch((event(1),)))
    assert [trouble.refused for trouble in sent.troubles] == [refused]


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [b"307 Elsewhere\r\nLocation: http://169.254.169.254/latest/\r\n"]
    sent = await sinks(Cluster(spec(receiver)), "127.0.0.1").deliver(batch((event(1),)))
    assert (sent.delivered, len(receiver.requests)) == ((), 1)


@pytest.mark.parametrize("sink", ["http://169.254.169.254/hook", "http://127.0.0.1:1/hook", "http://[::1]/hook"])
async def test_no_sink_leads_to_this_machine_or_to_where_clouds_keep_credentials(sink: str) -> None:
    cluster = Cluster({"sink": sink})
    sent = await sinks(cluster).deliver(batch((event(1),)))
    assert sent.delivered == ()
    assert "AddressRefused" in sent.troubles[0].message
    assert cluster.status["state"] == "Failing"


async def test_a_subscription_without_its_secret_sends_nothing_unsigned(receiver: Receiver) -> None:
    cluster = Cluster(spec(receiver, "absent"))
    sent = await sinks(cluster, "127.0.0.1").deliver(batch((event(1),)))
    assert (sent.delivered, receiver.requests) == ((), [])
    assert "SecretNotFound" in cluster.status["message"]


async def test_a_subscription_that_is_gone_gets_nothing() -> None:
    assert (await sinks(Cluster(None)).deliver(batch((event(1),)))).gone
