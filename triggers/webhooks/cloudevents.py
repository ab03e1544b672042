"""CloudEvents 1.0 over HTTP: binary, structured and batched (github.com/cloudevents/spec, "HTTP Protocol Binding"
and "HTTP 1.1 Web Hooks").

The `cloudevents` package is left aside: it reads with Python's own `json`, which knows no limit of nesting, and
knows no batches; what is left beside the guards of `Document` is little.

Taken are:

- `dev.towpath.push`: the body of a plain Git hook as data (see `triggers.webhooks.git`)
- `dev.towpath.image`: `{"image": "host/path:tag", "digest"?, "pusher"?}`
- `dev.cdevents.artifact.published.*` whose subject is an image (a package URL of type oci or docker)
- `dev.cdevents.change.merged.*` whose customData is the body of a plain Git hook
- `harbor.artifact.pushed`: Harbor's webhooks in its CloudEvents format
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic_core import from_json

from model import image_name
from model.event import Announced, Event
from model.push import Ignored
from triggers.problem import Problem
from triggers.webhooks.document import Document
from triggers.webhooks.git import Git
from triggers.webhooks.registry import harbor, token
from triggers.webhooks.registry.pushed import occasion, pushed

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BATCH_LIMIT = 100
_PREFIX = "ce-"
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}")
_PUSH = "dev.towpath.push"
_IMAGE = "dev.towpath.image"
_PUBLISHED = "dev.cdevents.artifact.published."
_MERGED = "dev.cdevents.change.merged."
_HARBOR = "harbor.artifact.pushed"
_NAME = re.compile(r"[A-Za-z0-9.:-]{1,253}")


class CloudEvents:
    """Events of several senders; the shared text is sent as `Authorization: Bearer`."""

    name = "cloudevents"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """The bearer token."""
        token.check(headers, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """The events of any mode, below `events`, each with its data as JSON."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == STRUCTURED:
            return _several([Document.read(body).find()])
        if kind == BATCH:
            return _several(_list(body))
        if not headers.get(f"{_PREFIX}specversion"):
            raise Problem(
                400, "MalformedPayload", f"Send ce-* headers, or {STRUCTURED}, or {BATCH}: this is no CloudEvent."
            )
        event: dict[str, Any] = {
            key.removeprefix(_PREFIX): unquote(text[:1024])
            for key, text in headers.items()
            if key.startswith(_PREFIX)
        }
        return _several([{**event, "data": Document.read(body).find() if body else {}}])

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The clone address that the pushes speak of. Several repositories at once, or pushes and others, are
        refused: a repository may have a secret of its own, which vouches for nothing else."""
        events = document.documents("events")
        told = [_git(event).find("repository", "url") for event in events if _speaks_git(event)]
        found = dict.fromkeys(address for address in told if isinstance(address, str))
        if len(found) > 1 or (found and len(told) < len(events)):
            raise Problem(400, "SeveralRepositories", "Send the pushes of one repository in a batch of their own.")
        return tuple(found)

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:  # noqa: ARG002
        """Every event of the batch, in order; of two with the same source and id the first counts."""
        told: dict[str, Event] = {}
        for event in document.documents("events"):
            if event.text("specversion") != "1.0":
                raise Problem(400, "MalformedPayload", "Field specversion must be 1.0.")
            delivery = occasion(event.text("source"), event.text("id"))
            for number, each in enumerate(self._events(event, delivery)):
                told.setdefault(f"{delivery}-{number}", each)
        return tuple(told.values())

    def _events(self, event: Document, delivery: str) -> tuple[Event, ...]:
        kind = event.text("type")
        if not _TYPE.fullmatch(kind):
            raise Problem(400, "MalformedPayload", "Field type is no type of an event.")
        if kind == _PUSH or kind.startswith(_MERGED):
            return self._push(event, delivery)
        if kind == _IMAGE:
            return (self._image(event, delivery),)
        if kind.startswith(_PUBLISHED):
            return (self._published(event, delivery),)
        if kind == _HARBOR:
            data = Document({"event_data": event.find("data")})
            operator, at = event.optional_text("operator"), event.optional_text("time")
            return harbor.resources(self.name, delivery, at, data, "event_data", operator)
        return (
            self._ignored(delivery, "EventNotUsed", f"Type {kind[:100]} starts nothing; see docs/cloudevents.md."),
        )

    def _push(self, event: Document, delivery: str) -> tuple[Event, ...]:
        data = _git(event)
        if data.find("repository", "url") is None and event.find("type") != _PUSH:
            return (
                self._ignored(delivery, "NoRefTold", "It does not tell which branch has moved to which commit."),
            )
        told = Git().parse({"x-towpath-event": "push", "x-towpath-delivery": delivery}, data)
        return tuple(each.model_copy(update={"provider": self.name}) for each in told)

    def _image(self, event: Document, delivery: str) -> Announced | Ignored:
        name = image_name.parse(event.text("data", "image"))
        digest = name.digest or event.optional_text("data", "digest", limit=80)
        return pushed(
            self.name, delivery, name.repository, name.tag, digest, pusher=event.optional_text("data", "pusher")
        )

    def _published(self, event: Document, delivery: str) -> Announced | Ignored:
        """https://cdevents.dev/docs/continuous-integration/#artifact-published with a package URL
        (github.com/package-url/purl-spec, types oci and docker)."""
        purl = event.text("data", "subject", "id")
        if not purl.startswith(("pkg:oci/", "pkg:docker/")):
            return self._ignored(
                delivery, "NotAnImage", "Only artifacts of type pkg:oci or pkg:docker are images."
            )
        head, _, query = purl.partition("#")[0].partition("?")
        name, _, version = head.partition("/")[2].partition("@")
        said = dict(parse_qsl(query[:2048], max_num_fields=20))
        version = unquote(version)
        tag = said.get("tag", "") or ("" if version.startswith("sha256:") else version)
        digest = version if version.startswith("sha256:") else ""
        return pushed(self.name, delivery, said.get("repository_url", "") or unquote(name), tag[:129], digest)

    def _ignored(self, delivery: str, reason: str, message: str) -> Ignored:
        return Ignored(provider=self.name, delivery=delivery, reason=reason, message=message)


def permission(headers: Mapping[str, str]) -> dict[str, str]:
    """The answer's headers to a sender who asks by OPTIONS whether it may send here ("HTTP 1.1 Web Hooks",
    section 4): anybody may who has the token.

    Raises:
        Problem: 400 `OriginMissing`.
    """
    origin = headers.get("webhook-request-origin", "")
    if not _NAME.fullmatch(origin):
        raise Problem(400, "OriginMissing", "Header WebHook-Request-Origin is missing or is no name.")
    asked = headers.get("webhook-request-rate", "")
    rate = {"WebHook-Allowed-Rate": asked if re.fullmatch(r"[1-9][0-9]{0,5}", asked) else "*"} if asked else {}
    return {"WebHook-Allowed-Origin": origin, "Allow": "POST", **rate}


def _speaks_git(event: Document) -> bool:
    kind = event.find("type")
    return isinstance(kind, str) and (kind == _PUSH or kind.startswith(_MERGED))


def _git(event: Document) -> Document:
    """The body of a plain Git hook that an event carries."""
    found = event.find("data") if event.find("type") == _PUSH else event.find("data", "customData")
    return Document(found if isinstance(found, dict) else {})


def _several(events: list[Any]) -> Document:
    if not 0 < len(events) <= BATCH_LIMIT:
        raise Problem(400, "MalformedPayload", f"A batch must hold 1 to {BATCH_LIMIT} events.")
    return Document({"events": [_with_data(event) for event in events]})


def _with_data(event: Any) -> Any:
    """JSON that was sent as base64, in its place."""
    if not isinstance(event, dict) or "data" in event or not isinstance(event.get("data_base64"), str):
        return event
    try:
        content = base64.b64decode(event["data_base64"], validate=True)
    except (ValueError, binascii.Error):
        raise Problem(400, "MalformedPayload", "Field data_base64 is not base64.") from None
    return {**event, "data": Document.read(content).find()}


def _list(body: bytes) -> list[Any]:
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise Problem(400, "MalformedPayload", "The body is not valid JSON.") from None
    if not isinstance(found, list):
        raise Problem(400, "MalformedPayload", "A batch is a JSON array.")
    return found
