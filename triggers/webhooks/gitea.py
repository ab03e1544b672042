"""Gitea, Forgejo and Gogs, which share a dialect close to GitHub's: https://docs.gitea.com/usage/webhooks and
https://forgejo.org/docs/latest/user/webhooks/
"""

from collections.abc import Mapping

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT
from model.event import Event
from model.ref_deleted import RefDeleted
from triggers.webhooks import signature
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import deleted, full_ref, moved
from triggers.webhooks.requested import requested

# Each sends the headers of those after it along with its own.
_FAMILY = ("Forgejo", "Gitea", "Gogs")
_ACTIONS: dict[str, ChangeAction] = {
    "opened": "open",
    "reopened": "open",
    "synchronized": "update",
    "synchronize": "update",
    "edited": "update",
    "closed": "close",
}


class Gitea:
    """Pushes, deletions, pull requests and what is said on them are taken, everything else is ignored."""

    name = "gitea"

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """Bare hex HMAC-SHA256 over the raw body, which is sent without a secret as well: signed with nothing."""
        header = f"X-{_member(headers)}-Signature"
        signature.check(headers.get(header.lower(), ""), body, secrets, name=header, prefix="")

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address first, then the ssh one."""
        found = (document.find("repository", name) for name in ("clone_url", "ssh_url"))
        return tuple(address for address in found if isinstance(address, str))

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """`push` is a Push, `delete` a RefDeleted, `pull_request` a ChangeRequest, `issue_comment` a Comment."""
        member = _member(headers)
        envelope = Envelope.read(self.name, headers, f"X-{member}-Event", f"X-{member}-Delivery")
        match envelope.event:
            case "push":
                return (self._push(envelope, document),)
            case "create":
                return (envelope.ignored("ToldByPush", "What was created is told by the event push as well."),)
            case "delete":
                return (self._deleted(envelope, document),)
            case "pull_request" | "pull_request_sync":
                return (self._pull_request(envelope, document),)
            case "issue_comment" | "pull_request_comment":
                return (self._comment(envelope, document),)
            case _:
                return (envelope.not_used("push", "delete", "pull_request", "issue_comment"),)

    def _push(self, envelope: Envelope, document: Document) -> Event:
        """Whether it was forced is nowhere told."""
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
            pusher=document.optional_text("pusher", "login") or document.optional_text("pusher", "username"),
            email=document.optional_text("pusher", "email"),
        )

    def _deleted(self, envelope: Envelope, document: Document) -> RefDeleted:
        return deleted(
            envelope,
            url=document.text("repository", "clone_url"),
            ref=full_ref(document.text("ref_type"), document.text("ref")),
            actor=document.optional_text("sender", "login"),
        )

    def _pull_request(self, envelope: Envelope, document: Document) -> Event:
        told = document.text("action")
        action = _ACTIONS.get(told)
        if action is None or (told == "edited" and document.find("changes", "ref") is None):
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
            # Both are empty where the branch is gone.
            head=document.optional_text("pull_request", "head", "sha"),
            before=document.optional_text("pull_request", "base", "sha"),
            head_url=head_url if isinstance(head_url, str) else f"{url.removesuffix('.git')}-of-a-deleted-fork",
            title=document.optional_text("pull_request", "title"),
            actor=document.optional_text("sender", "login"),
            order=document.moment("pull_request", "updated_at"),
            author=document.optional_text("pull_request", "user", "login"),
            merged=document.flag("pull_request", "merged"),
        )

    def _comment(self, envelope: Envelope, document: Document) -> Event:
        if not (document.flag("is_pull") or isinstance(document.find("issue", "pull_request"), dict)):
            return envelope.ignored("IssueComment", "What is said on an issue starts nothing.")
        told = document.text("action")
        if told != "created":
            return envelope.action_not_used(told)
        head = document.find("pull_request", "head", "sha")
        return commented(
            envelope,
            url=document.text("repository", "clone_url"),
            change=str(document.number("issue", "number")),
            comment=str(document.number("comment", "id")),
            body=document.said("comment", "body", limit=BODY_LIMIT),
            actor=document.login("comment", "user", "login"),
            head=head if isinstance(head, str) else "",
            order=document.moment("comment", "created_at"),
        )


def _member(headers: Mapping[str, str]) -> str:
    """Which of the family sends: the first whose event header is there; Gitea when none is, for the message."""
    return next((each for each in _FAMILY if headers.get(f"x-{each.lower()}-event")), "Gitea")
