"""Azure DevOps Services and Server: https://learn.microsoft.com/azure/devops/service-hooks/events

Service hooks sign nothing. The secret is the password of Basic authentication (any user name), or the text of a
header that is set in the subscription: `X-Towpath-Token: <secret>`.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT
from model.event import Event
from triggers.webhooks import signature
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import moved
from triggers.webhooks.requested import requested

_COMMENTED = "ms.vss-code.git-pullrequest-comment-event"
_ACTIONS: dict[str, ChangeAction] = {
    "git.pullrequest.created": "open",
    "git.pullrequest.updated": "update",
    "git.pullrequest.merged": "update",
}
_MISSING = "Set Basic authentication or the header X-Towpath-Token in the service hook: there is neither."
# A comment's number counts within its thread.
_THREAD = re.compile(r"/threads/(\d{1,12})/")
_LEGACY = ".visualstudio.com"


class Azure:
    """Pushes, pull requests and what is said on them are taken, everything else is ignored."""

    name = "azure"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:  # noqa: ARG002
        """The password of Basic authentication, or the text of the header."""
        token = headers.get("x-towpath-token", "").encode("latin-1", "replace")
        signature.check_text(token or _password(headers.get("authorization", "")), secrets, _MISSING)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address in its present and its former form, then the ssh one."""
        for place in (("resource", "repository"), ("resource", "pullRequest", "repository")):
            remote = document.find(*place, "remoteUrl")
            if isinstance(remote, str):
                ssh = document.find(*place, "sshUrl")
                return (*_forms(remote), *([ssh] if isinstance(ssh, str) else []))
        return ()

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:  # noqa: ARG002
        """`git.push` is a Push or a RefDeleted for every ref, `git.pullrequest.*` a ChangeRequest, a comment on
        one a Comment."""
        envelope = Envelope.told(self.name, document.text("eventType"), document.text("id"))
        if envelope.event == "git.push":
            updates = document.documents("resource", "refUpdates")
            told = tuple(self._moved(envelope, document, update) for update in updates)
            return told or (envelope.ignored("NothingMoved", "No ref has moved."),)
        if envelope.event in _ACTIONS:
            return (self._pull_request(envelope, document, _ACTIONS[envelope.event]),)
        if envelope.event == _COMMENTED:
            return (self._comment(envelope, document),)
        return (envelope.not_used("git.push", "git.pullrequest.*", _COMMENTED),)

    def _moved(self, envelope: Envelope, document: Document, update: Document) -> Event:
        """Whether it was forced is nowhere told."""
        return moved(
            envelope,
            url=_address(document, "resource", "repository"),
            ref=update.text("name"),
            before=update.text("oldObjectId"),
            after=update.text("newObjectId"),
            pusher=document.optional_text("resource", "pushedBy", "uniqueName")
            or document.optional_text("resource", "pushedBy", "displayName"),
        )

    def _pull_request(self, envelope: Envelope, document: Document, action: ChangeAction) -> Event:
        """`git.pullrequest.merged` tells of every attempt to merge; only the status says that it is done."""
        status = document.text("resource", "status")
        if status not in ("active", "completed", "abandoned"):
            return envelope.action_not_used(status)
        url = _address(document, "resource", "repository")
        fork = document.find("resource", "forkSource")
        by = document.optional_text("resource", "createdBy", "uniqueName")
        return requested(
            envelope,
            action if status == "active" else "close",
            url=url,
            change=str(document.number("resource", "pullRequestId")),
            branch=document.text("resource", "sourceRefName"),
            base=document.text("resource", "targetRefName"),
            # Missing until Azure has looked whether it can be merged: the branch's present head counts then.
            head=document.optional_text("resource", "lastMergeSourceCommit", "commitId"),
            before=document.optional_text("resource", "lastMergeTargetCommit", "commitId"),
            head_url=_address(document, "resource", "forkSource", "repository") if fork else "",
            title=document.optional_text("resource", "title"),
            # Who did this is only in the message for people; who opened it is told.
            actor=by if envelope.event == "git.pullrequest.created" else "",
            order=document.moment("createdDate"),
            author=by,
            merged=status == "completed",
        )

    def _comment(self, envelope: Envelope, document: Document) -> Event:
        if document.find("resource", "comment", "commentType") == "system":
            return envelope.ignored("SystemNote", "Azure DevOps wrote this comment itself.")
        if document.flag("resource", "comment", "isDeleted"):
            return envelope.action_not_used("deleted")
        number = str(document.number("resource", "comment", "id"))
        link = document.find("resource", "comment", "_links", "self", "href")
        thread = _THREAD.search(link[:2048]) if isinstance(link, str) else None
        head = document.find("resource", "pullRequest", "lastMergeSourceCommit", "commitId")
        return commented(
            envelope,
            url=_address(document, "resource", "pullRequest", "repository"),
            change=str(document.number("resource", "pullRequest", "pullRequestId")),
            comment=f"{thread.group(1)}-{number}" if thread else number,
            body=document.said("resource", "comment", "content", limit=BODY_LIMIT),
            actor=document.login("resource", "comment", "author", "uniqueName"),
            head=head if isinstance(head, str) else "",
            order=document.moment("resource", "comment", "publishedDate"),
        )


def _password(authorization: str) -> bytes:
    """The password of Basic authentication (RFC 7617); empty when there is none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _address(document: Document, *place: str) -> str:
    return next(iter(_forms(document.text(*place, "remoteUrl"))))


def _forms(remote: str) -> Iterator[str]:
    """The clone address without the user's name that Azure puts in front, and the other of the two hosts."""
    yield _plain(remote)
    try:
        parts = urlsplit(remote)
        host = (parts.hostname or "").lower()
    except ValueError:
        return
    if host == "dev.azure.com":
        organisation, _, rest = parts.path.strip("/").partition("/")
        yield f"https://{organisation}{_LEGACY}/{rest}"
    elif host.endswith(_LEGACY):
        path = parts.path.strip("/").removeprefix("DefaultCollection/")
        yield f"https://dev.azure.com/{host.removesuffix(_LEGACY)}/{path}"


def _plain(remote: str) -> str:
    scheme, separator, rest = remote.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    return f"{scheme}{separator}{host}{slash}{path}" if at and ":" not in user else remote
