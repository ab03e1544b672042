"""A plain Git server whose `post-receive` hook posts here, one request a ref.

Headers: `X-Hub-Signature-256` (HMAC-SHA256 over the body, as GitHub), `X-Towpath-Event: push`, `change`, `comment`
or `ping`, `X-Towpath-Delivery` (an id of the delivery: for a push a hash of ref, old and new). Body of a push:
`{"repository": {"url"}, "ref", "before", "after", "forced"?, "pusher"?}`; of a change (somebody asks to take a
branch in): `{"repository": {"url"}, "action": "opened"|"updated"|"closed", "change", "head": {"ref", "commit",
"repository"?: {"url"}}, "base": {"ref", "commit"?}, "title"?, "author"?, "actor"?, "association"?, "merged"?,
"updatedAt"?}`; of a comment on one: `{"repository": {"url"}, "change", "comment": {"id", "body", "createdAt"?},
"actor", "association"?, "head"?: {"commit"}}`.
"""

from collections.abc import Mapping

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT, Association
from model.event import Event
from model.push import Ping
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import moved
from triggers.webhooks.requested import requested

_ACTIONS: dict[str, ChangeAction] = {"opened": "open", "updated": "update", "closed": "close"}
_ASSOCIATIONS: tuple[Association, ...] = ("owner", "member", "collaborator", "contributor", "none")


class Git:
    """Pushes by our own hook, and requests to take changes in by whoever keeps them."""

    name = "git"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The clone address."""
        address = document.find("repository", "url")
        return (address,) if isinstance(address, str) else ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """`push` is a Push or a RefDeleted, `change` a ChangeRequest, `comment` a Comment, `ping` a Ping."""
        envelope = Envelope.read(self.name, headers, "X-Towpath-Event", "X-Towpath-Delivery")
        if envelope.event == "ping":
            return (Ping(provider=self.name, delivery=envelope.delivery),)
        if envelope.event == "change":
            return (self._change(envelope, document),)
        if envelope.event == "comment":
            return (self._comment(envelope, document),)
        if envelope.event != "push":
            return (envelope.not_used("push", "change", "comment"),)
        return (
            moved(
                envelope,
                url=document.text("repository", "url"),
                ref=document.text("ref"),
                before=document.text("before"),
                after=document.text("after"),
                forced=document.flag("forced"),
                pusher=self._pusher(document),
            ),
        )

    def _change(self, envelope: Envelope, document: Document) -> Event:
        told = document.text("action")
        action = _ACTIONS.get(told)
        if action is None:
            known = ", ".join(_ACTIONS)
            raise Problem(400, "MalformedPayload", f"Field action must be one of: {known}.")
        head_url = document.find("head", "repository", "url")
        return requested(
            envelope,
            action,
            url=document.text("repository", "url"),
            change=document.text("change"),
            branch=document.text("head", "ref"),
            base=document.text("base", "ref"),
            head=document.text("head", "commit"),
            before=document.text("base", "commit") if document.find("base", "commit") else "",
            head_url=head_url if isinstance(head_url, str) else "",
            title=document.optional_text("title"),
            actor=document.optional_text("actor") or document.optional_text("author"),
            order=document.moment("updatedAt"),
            author=document.optional_text("author"),
            association=_association(document),
            merged=document.flag("merged"),
        )

    def _comment(self, envelope: Envelope, document: Document) -> Event:
        return commented(
            envelope,
            url=document.text("repository", "url"),
            change=document.text("change"),
            comment=document.login("comment", "id"),
            body=document.said("comment", "body", limit=BODY_LIMIT),
            actor=document.login("actor"),
            head=document.text("head", "commit") if document.find("head", "commit") else "",
            association=_association(document),
            order=document.moment("comment", "createdAt"),
        )

    def _pusher(self, document: Document) -> str:
        """A text, or an object with a name as GitHub writes it."""
        return document.optional_text("pusher") or document.optional_text("pusher", "name")


def _association(document: Document) -> Association:
    told = document.optional_text("association")
    return next((each for each in _ASSOCIATIONS if each == told), "")
