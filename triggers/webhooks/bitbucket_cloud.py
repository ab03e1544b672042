"""Bitbucket Cloud: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/

Names can be changed and taken by others, so who writes a comment or opens a request is told by `account_id`.
"""

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT
from model.event import Event
from model.failure import UserFailure
from model.repository import check_commit
from triggers.problem import Problem
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import full_ref, moved
from triggers.webhooks.requested import requested

_ACTIONS: dict[str, ChangeAction] = {
    "pullrequest:created": "open",
    "pullrequest:updated": "update",
    "pullrequest:fulfilled": "close",
    "pullrequest:rejected": "close",
}
_COMMENTED = "pullrequest:comment_created"
# Mercurial's names are still told in Bitbucket's own documentation.
_KINDS = {"branch": "branch", "named_branch": "branch", "tag": "tag", "annotated_tag": "tag"}
_NONE = "0" * 40


def addresses(document: Document) -> tuple[str, ...]:
    """The page of the repository, which is its clone address without `.git`, then what its full name means."""
    page = document.find("repository", "links", "html", "href")
    name = document.find("repository", "full_name")
    found = [page] if isinstance(page, str) else []
    return tuple([*found, f"https://bitbucket.org/{name}"] if isinstance(name, str) else found)


def parse(envelope: Envelope, document: Document) -> tuple[Event, ...]:
    """`repo:push` is a Push or a RefDeleted for every ref, `pullrequest:*` a ChangeRequest or a Comment."""
    if envelope.event == "repo:push":
        changes = document.documents("push", "changes")
        told = tuple(_moved(envelope, document, change) for change in changes)
        return told or (envelope.ignored("NothingMoved", "No ref has moved."),)
    if envelope.event in _ACTIONS:
        return (_pull_request(envelope, document, _ACTIONS[envelope.event]),)
    if envelope.event == _COMMENTED:
        return (_comment(envelope, document),)
    return (envelope.not_used("repo:push", *_ACTIONS, _COMMENTED),)


def _moved(envelope: Envelope, document: Document, change: Document) -> Event:
    """`new` is null for what was deleted, `old` for what was created."""
    side = "new" if change.find("new") is not None else "old"
    return moved(
        envelope,
        url=_url(document),
        ref=full_ref(_KINDS.get(change.text(side, "type"), ""), change.text(side, "name")),
        before=change.text("old", "target", "hash") if change.find("old") is not None else _NONE,
        after=change.text("new", "target", "hash") if side == "new" else _NONE,
        forced=change.flag("forced"),
        pusher=document.optional_text("actor", "nickname") or document.optional_text("actor", "display_name"),
    )


def _pull_request(envelope: Envelope, document: Document, action: ChangeAction) -> Event:
    url = _url(document)
    # The source's repository is null when a fork was deleted meanwhile.
    head_url = document.find("pullrequest", "source", "repository", "links", "html", "href")
    return requested(
        envelope,
        action,
        url=url,
        change=str(document.number("pullrequest", "id")),
        branch=document.text("pullrequest", "source", "branch", "name"),
        base=document.text("pullrequest", "destination", "branch", "name"),
        head=_commit(document, "source"),
        before=_commit(document, "destination"),
        head_url=head_url if isinstance(head_url, str) else f"{url.removesuffix('.git')}-of-a-deleted-fork",
        title=document.optional_text("pullrequest", "title"),
        actor=document.optional_text("actor", "account_id"),
        order=document.moment("pullrequest", "updated_on"),
        author=document.optional_text("pullrequest", "author", "account_id"),
        merged=envelope.event == "pullrequest:fulfilled",
    )


def _comment(envelope: Envelope, document: Document) -> Event:
    return commented(
        envelope,
        url=_url(document),
        change=str(document.number("pullrequest", "id")),
        comment=str(document.number("comment", "id")),
        body=document.said("comment", "content", "raw", limit=BODY_LIMIT),
        actor=document.login("actor", "account_id"),
        head=_commit(document, "source"),
        order=document.moment("comment", "created_on"),
    )


def _url(document: Document) -> str:
    found = addresses(document)
    if not found:
        raise Problem(400, "MalformedPayload", "Field repository.links.html.href must be the repository's page.")
    return found[0]


def _commit(document: Document, side: str) -> str:
    """Pull requests tell only the first twelve digits, which are no commit's id: empty then."""
    told = document.text("pullrequest", side, "commit", "hash")
    try:
        return check_commit(told)
    except UserFailure:
        if 7 <= len(told) < 40 and all(ch in "0123456789abcdef" for ch in told):
            return ""
        raise
