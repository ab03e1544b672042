"""GitHub and GitHub Enterprise, whether a repository's hook sends it, an organisation's or an App's.

https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from collections.abc import Mapping
from urllib.parse import parse_qs

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT, Association
from model.event import Event
from model.push import Ping
from model.ref_deleted import RefDeleted
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import deleted, full_ref, moved
from triggers.webhooks.requested import requested

_ACTIONS: dict[str, ChangeAction] = {
    "opened": "open",
    "reopened": "open",
    "ready_for_review": "update",
    "synchronize": "update",
    "edited": "update",
    "closed": "close",
}
_ASSOCIATIONS: dict[str, Association] = {
    "OWNER": "owner",
    "MEMBER": "member",
    "COLLABORATOR": "collaborator",
    "CONTRIBUTOR": "contributor",
    "FIRST_TIMER": "none",
    "FIRST_TIME_CONTRIBUTOR": "none",
    "MANNEQUIN": "none",
    "NONE": "none",
}
_PACKAGES = ("package", "registry_package")


class GitHub:
    """Pushes, deletions, pull requests and what is said on them are taken, everything else is ignored."""

    name = "github"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """HMAC-SHA256 over the raw body; the SHA-1 header is not looked at."""
        signature.check(headers.get("x-hub-signature-256", ""), body, secrets)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:
        """JSON as it is, or the `payload` field of a form: the form is what GitHub's own page preselects."""
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/x-www-form-urlencoded":
            return Document.read(body)
        try:
            fields = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=8)
            return Document.read(fields["payload"][0].encode())
        except (ValueError, KeyError):
            raise Problem(400, "MalformedPayload", "The form lacks a readable field `payload`.") from None

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address first, then the ssh one."""
        found = (document.find("repository", name) for name in ("clone_url", "ssh_url"))
        return tuple(address for address in found if isinstance(address, str))

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """`push` is a Push or a RefDeleted, `pull_request` a ChangeRequest, `issue_comment` on one a Comment."""
        envelope = Envelope.read(self.name, headers, "X-GitHub-Event", "X-GitHub-Delivery")
        match envelope.event:
            case "ping":
                return (Ping(provider=self.name, delivery=envelope.delivery),)
            case "push":
                return (self._push(envelope, document),)
            case "create":
                return (envelope.ignored("ToldByPush", "What was created is told by the event push as well."),)
            case "delete":
                return (self._deleted(envelope, document),)
            case "pull_request":
                return (self._pull_request(envelope, document),)
            case "issue_comment":
                return (self._comment(envelope, document),)
            case event if event in _PACKAGES:
                where = "Images are told to /webhooks/registry/ghcr: let this event be sent there."
                return (envelope.ignored("PackageElsewhere", where),)
            case _:
                return (envelope.not_used("push", "delete", "pull_request", "issue_comment"),)

    def _push(self, envelope: Envelope, document: Document) -> Event:
        ref = document.text("ref")
        after = document.text("after")
        # An annotated tag is an object of its own; `head_commit` is the commit that it stands for.
        tagged = document.find("head_commit", "id") if ref.startswith("refs/tags/") else None
        return moved(
            envelope,
            url=document.text("repository", "clone_url"),
            ref=ref,
            before=document.text("before"),
            after=tagged if isinstance(tagged, str) and tagged else after,
            forced=document.flag("forced"),
            pusher=document.optional_text("pusher", "name"),
            email=document.optional_text("pusher", "email"),
        )

    def _deleted(self, envelope: Envelope, document: Document) -> RefDeleted:
        """`push` tells so as well, and from which commit; a hook may be told of this one only."""
        return deleted(
            envelope,
            url=document.text("repository", "clone_url"),
            ref=full_ref(document.text("ref_type"), document.text("ref")),
            actor=document.optional_text("sender", "login"),
        )

    def _pull_request(self, envelope: Envelope, document: Document) -> Event:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#pull_request"""
        told = document.text("action")
        action = _ACTIONS.get(told)
        if action is None or (told == "edited" and document.find("changes", "base") is None):
            return envelope.action_not_used(told)
        url = document.text("repository", "clone_url")
        # The head's repository is null when a fork was deleted meanwhile.
        head_url = document.find("pull_request", "head", "repo", "clone_url")
        return requested(
            envelope,
            action,
            url=url,
            change=str(document.number("pull_request", "number")),
            branch=document.text("pull_request", "head", "ref"),
            base=document.text("pull_request", "base", "ref"),
            head=document.text("pull_request", "head", "sha"),
            before=document.text("pull_request", "base", "sha"),
            head_url=head_url if isinstance(head_url, str) else f"{url.removesuffix('.git')}-of-a-deleted-fork",
            title=document.optional_text("pull_request", "title"),
            actor=document.optional_text("sender", "login"),
            order=document.moment("pull_request", "updated_at"),
            author=document.optional_text("pull_request", "user", "login"),
            association=_association(document, "pull_request"),
            merged=document.flag("pull_request", "merged"),
        )

    def _comment(self, envelope: Envelope, document: Document) -> Event:
        """https://docs.github.com/webhooks/webhook-events-and-payloads#issue_comment"""
        if not isinstance(document.find("issue", "pull_request"), dict):
            return envelope.ignored("IssueComment", "What is said on an issue starts nothing.")
        told = document.text("action")
        if told != "created":
            return envelope.action_not_used(told)
        return commented(
            envelope,
            url=document.text("repository", "clone_url"),
            change=str(document.number("issue", "number")),
            comment=str(document.number("comment", "id")),
            body=document.said("comment", "body", limit=BODY_LIMIT),
            actor=document.login("comment", "user", "login"),
            association=_association(document, "comment"),
            order=document.moment("comment", "created_at"),
        )


def _association(document: Document, place: str) -> Association:
    return _ASSOCIATIONS.get(document.optional_text(place, "author_association"), "")
