"""GitLab, whether a project's hook sends it, a group's or the system's.

https://docs.gitlab.com/user/project/integrations/webhook_events/ and, for system hooks,
https://docs.gitlab.com/administration/system_hooks/
"""

import time
from collections.abc import Callable, Mapping

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT
from model.event import Event
from triggers.problem import Problem
from triggers.webhooks import signature
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import moved
from triggers.webhooks.requested import requested

_ACTIONS: dict[str, ChangeAction] = {"open": "open", "reopen": "open", "close": "close", "merge": "close"}
# The same delivery's id, by GitLab's age. Never X-Gitlab-Webhook-UUID: that one is the hook's.
_DELIVERIES = ("Idempotency-Key", "webhook-id", "X-Gitlab-Event-UUID")


class GitLab:
    """Pushes of branches and tags, merge requests and notes on them are taken, everything else is ignored."""

    name = "gitlab"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def authenticate(self, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...]) -> None:
        """The secret token in `X-Gitlab-Token`, or a signature by the signing token (`whsec_…`); the signature
        counts where there is one."""
        if headers.get("webhook-signature", ""):
            signature.check_standard(
                headers["webhook-signature"],
                headers.get("webhook-id", ""),
                headers.get("webhook-timestamp", ""),
                body,
                secrets,
                self._clock,
            )
            return
        token = headers.get("x-gitlab-token", "").encode("latin-1", "replace")
        missing = "Give the webhook a secret token or a signing token: X-Gitlab-Token is missing or empty."
        signature.check_text(token, secrets, missing)

    def read(self, headers: Mapping[str, str], body: bytes) -> Document:  # noqa: ARG002  (the Protocol's)
        """JSON as it is."""
        return Document.read(body)

    def addresses(self, document: Document) -> tuple[str, ...]:
        """The https address first, then the ssh one."""
        found = (
            document.find(place, name)
            for place in ("project", "repository")
            for name in ("git_http_url", "git_ssh_url")
        )
        return tuple(address for address in found if isinstance(address, str) and address)

    def parse(self, headers: Mapping[str, str], document: Document) -> tuple[Event, ...]:
        """What has happened is in the body: a system hook has one header for everything."""
        envelope = Envelope.read(self.name, headers, "X-Gitlab-Event", *_DELIVERIES)
        kind = document.optional_text("object_kind") or document.optional_text("event_name")
        match kind:
            case "push" | "tag_push":
                return (self._push(envelope, document, document),)
            case "repository_update":
                changes = document.documents("changes")
                told = tuple(self._push(envelope, document, change) for change in changes)
                return told or (envelope.ignored("NothingMoved", "No ref has moved."),)
            case "merge_request":
                return (self._merge_request(envelope, document),)
            case "note":
                return (self._note(envelope, document),)
            case _:
                return (envelope.not_used("Push Hook", "Tag Push Hook", "Merge Request Hook", "Note Hook"),)

    def _url(self, document: Document) -> str:
        """The first address that there is: either way to clone may be switched off."""
        found = self.addresses(document)
        if not found:
            raise Problem(400, "MalformedPayload", "Field project.git_http_url must be the clone address.")
        return found[0]

    def _push(self, envelope: Envelope, document: Document, change: Document) -> Event:
        """Whether it was forced is nowhere told. `change` holds the ref and its ids."""
        ref = change.text("ref")
        # An annotated tag is an object of its own; `checkout_sha` is the commit that it stands for.
        tagged = change.find("checkout_sha") if ref.startswith("refs/tags/") else None
        return moved(
            envelope,
            url=self._url(document),
            ref=ref,
            before=change.text("before"),
            after=tagged if isinstance(tagged, str) and tagged else change.text("after"),
            pusher=document.optional_text("user_username") or document.optional_text("user_name"),
            email=document.optional_text("user_email"),
        )

    def _merge_request(self, envelope: Envelope, document: Document) -> Event:
        """https://docs.gitlab.com/user/project/integrations/webhook_events/#merge-request-events"""
        told = document.text("object_attributes", "action")
        action = _ACTIONS.get(told)
        # `oldrev` is there when commits came; other updates are of titles, labels, reviewers.
        if told == "update" and (
            document.find("object_attributes", "oldrev") or document.find("changes", "target_branch")
        ):
            action = "update"
        if action is None:
            return envelope.action_not_used(told)
        url = self._url(document)
        head_url = document.find("object_attributes", "source", "git_http_url")
        author = document.find("object_attributes", "author_id")
        user = document.optional_text("user", "username")
        return requested(
            envelope,
            action,
            url=url,
            change=str(document.number("object_attributes", "iid")),
            branch=document.text("object_attributes", "source_branch"),
            base=document.text("object_attributes", "target_branch"),
            # A branch without a commit of its own has none.
            head=document.optional_text("object_attributes", "last_commit", "id"),
            # The source is null when a fork was deleted meanwhile.
            head_url=head_url if isinstance(head_url, str) else f"{url.removesuffix('.git')}-of-a-deleted-fork",
            title=document.optional_text("object_attributes", "title"),
            actor=user,
            order=document.moment("object_attributes", "updated_at"),
            # Only the author's number is told, and the name of whoever did this.
            author=user if author is not None and author == document.find("user", "id") else "",
            merged=told == "merge",
        )

    def _note(self, envelope: Envelope, document: Document) -> Event:
        """https://docs.gitlab.com/user/project/integrations/webhook_events/#comment-events"""
        if document.find("object_attributes", "noteable_type") != "MergeRequest":
            return envelope.ignored("NoteElsewhere", "Only what is said on a merge request can start something.")
        if document.flag("object_attributes", "system"):
            return envelope.ignored("SystemNote", "GitLab wrote this note itself.")
        told = document.optional_text("object_attributes", "action")
        if told not in ("", "create"):
            return envelope.action_not_used(told)
        head = document.find("merge_request", "last_commit", "id")
        return commented(
            envelope,
            url=self._url(document),
            change=str(document.number("merge_request", "iid")),
            comment=str(document.number("object_attributes", "id")),
            body=document.said("object_attributes", "note", limit=BODY_LIMIT),
            actor=document.login("user", "username"),
            head=head if isinstance(head, str) else "",
            order=document.moment("object_attributes", "created_at"),
        )
