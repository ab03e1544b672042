"""Sending CloudEvents to those who subscribe, by HTTP.

"HTTP Protocol Binding" and "HTTP 1.1 Web Hooks" of github.com/cloudevents/spec, in structured mode; signed as
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md says.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any, Protocol

import httpx
import structlog
from temporalio import activity

from activities.declarations import TOWPATH
from activities.outbound import Outbound
from activities.outboxes import moment
from activities.outside import SecretReader
from activities.subscribers import declared
from model.cloudevent import CloudEvent
from model.failure import Failure, NotFound, UserFailure
from model.outbox import Batch, Sent, Trouble
from model.subscription import Subscription

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SECONDS = 10.0
ANSWER_LIMIT = 64 * 1024
AT_ONCE = 4
RETRY_AFTER_LIMIT = 3600
# What the event is, not when it comes, is what these find wrong.
_REFUSALS = frozenset({400, 405, 406, 411, 413, 415, 422})
_STANDARD = "whsec_"

log = structlog.get_logger(__name__)


class Objects(Protocol):
    """The part of `activities.apiserver.ApiServer` that is needed."""

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object, or None."""
        ...

    async def merge(
        self, api_version: str, kind: str, name: str, namespace: str, patch: dict[str, Any], subresource: str = ""
    ) -> Any:
        """Change a part of an object."""
        ...


class Sinks:
    """Sends batches, and writes on each Subscription how it goes.

    Args:
        server: where they are declared.
        secrets: of the subscribers; what is read stays here.
        outbound: makes the clients, and sees to where they may go.
    """

    def __init__(self, server: Objects, secrets: SecretReader, outbound: Outbound) -> None:
        self._server = server
        self._secrets = secrets
        self._outbound = outbound

    @activity.defn(name="sinks.deliver")
    async def deliver(self, batch: Batch) -> Sent:
        """Send every subject's events in order, the subjects side by side. What goes wrong is a result.

        The same event may be sent twice (when this process dies in between); its id stays the same.
        """
        key = batch.subscription
        obj = await self._server.get(TOWPATH, "Subscription", key.name, key.namespace)
        if obj is None:
            return Sent(gone=True)
        try:
            subscription = declared(obj)
            headers = await self._headers(subscription)
            async with self._outbound.client(
                subscription.sink, headers=headers, seconds=SECONDS, limit=ANSWER_LIMIT
            ) as client:
                sent = await self._all(batch, client, subscription, await self._key(subscription))
        except Failure as failure:
            sent = Sent(troubles=tuple(_trouble(events[0], failure) for events in batch.events))
        await self._tell(batch, sent, obj)
        return sent

    async def _all(self, batch: Batch, client: httpx.AsyncClient, subscription: Subscription, key: bytes) -> Sent:
        slots = asyncio.Semaphore(AT_ONCE)

        async def line(events: Sequence[CloudEvent]) -> tuple[list[str], Trouble | None]:
            delivered: list[str] = []
            for event in events:
                async with slots:
                    trouble = await self._one(event, client, subscription, key)
                if trouble is not None:
                    return delivered, trouble
                delivered.append(event.id)
            return delivered, None

        ended = await asyncio.gather(*(line(events) for events in batch.events))
        return Sent(
            delivered=tuple(identity for delivered, _ in ended for identity in delivered),
            troubles=tuple(trouble for _, trouble in ended if trouble is not None),
        )

    async def _one(
        self, event: CloudEvent, client: httpx.AsyncClient, subscription: Subscription, key: bytes
    ) -> Trouble | None:
        """Send one event; None when the sink has taken it."""
        body = json.dumps(event.document(), separators=(",", ":")).encode()
        headers = {"Content-Type": CONTENT_TYPE, **signature(key, event.id, int(time.time()), body)}
        try:
            answer = await client.post(subscription.sink, content=body, headers=headers)
        except httpx.HTTPError as error:
            # Not its text: it may quote the address with what somebody put into it.
            return Trouble(subject=event.subject, message=f"The sink cannot be reached: {type(error).__name__}.")
        except UserFailure as failure:
            return _trouble(event, failure)
        if answer.is_success:
            return None
        return Trouble(
            subject=event.subject,
            message=f"The sink answered {answer.status_code}.",
            refused=answer.status_code in _REFUSALS,
            retry_after=_retry_after(answer.headers.get("Retry-After", "")),
        )

    async def _headers(self, subscription: Subscription) -> dict[str, str]:
        if not subscription.secret or subscription.authentication != "bearer":
            return {}
        return {"Authorization": f"Bearer {await self._secret(subscription)}"}

    async def _key(self, subscription: Subscription) -> bytes:
        """What deliveries are signed with; empty when they are not."""
        if not subscription.secret or subscription.authentication != "hmac":
            return b""
        text = await self._secret(subscription)
        if not text.startswith(_STANDARD):
            return text.encode()
        try:
            return base64.b64decode(text.removeprefix(_STANDARD), validate=True)
        except (ValueError, binascii.Error):
            raise UserFailure(
                "SecretUnreadable", "The secret begins with whsec_ and is not base64 behind."
            ) from None

    async def _secret(self, subscription: Subscription) -> str:
        namespace, name, key = subscription.key.namespace, subscription.secret, subscription.secret_key
        text = await self._secrets.read(namespace, name, key)
        if not text:
            raise NotFound("SecretNotFound", f"There is no key {key} in Secret {namespace}/{name}.")
        return text

    async def _tell(self, batch: Batch, sent: Sent, obj: dict[str, Any]) -> None:
        """Say on the Subscription how it goes; events matter more, so a refusal is only logged."""
        key, now = batch.subscription, time.time()
        failing = bool(sent.troubles)
        if failing:
            log.warning("cloudevents not delivered", subscription=str(key), message=sent.troubles[0].message)
        status = {
            "state": "Failing" if failing else "Delivering",
            "waiting": batch.waiting - len(sent.delivered),
            "dropped": batch.dropped,
            "failingSince": moment(batch.failing_since or now) if failing else "",
            "message": sent.troubles[0].message if failing else "",
            **({"lastDelivery": moment(now)} if sent.delivered else {}),
        }
        present = obj.get("status") or {}
        if all(present.get(name) == value for name, value in status.items()):
            return
        try:
            await self._server.merge(
                TOWPATH, "Subscription", key.name, key.namespace, {"status": status}, "status"
            )
        except Failure as failure:
            log.warning("subscription's status not written", subscription=str(key), reason=failure.reason)


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks; without a key only the id and the time, which everybody may want.

    Args:
        key: of HMAC-SHA256; empty for none.
        identity: of the event.
        timestamp: seconds since the epoch.
        body: as it is sent.
    """
    headers = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    if key:
        signed = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
    return headers


def _trouble(event: CloudEvent, failure: Failure) -> Trouble:
    return Trouble(subject=event.subject, message=f"{failure.reason}: {failure.message}"[:300])


def _retry_after(text: str) -> float:
    """Seconds only; a date is left aside."""
    return float(min(int(text), RETRY_AFTER_LIMIT)) if text.isascii() and text.isdigit() and len(text) < 9 else 0.0
