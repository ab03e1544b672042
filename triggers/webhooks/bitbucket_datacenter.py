"""Bitbucket Data Center: https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html"""

import re
from collections.abc import Iterator

from model.change_request import ChangeAction
from model.comment import BODY_LIMIT
from model.event import Event
from model.push import Ping
from triggers.problem import Problem
from triggers.webhooks.commented import commented
from triggers.webhooks.document import Document
from triggers.webhooks.envelope import Envelope
from triggers.webhooks.moved import moved
from triggers.webhooks.requested import requested

_PUSHED = "repo:refs_changed"
_ACTIONS: dict[str, ChangeAction] = {
    "pr:opened": "open",
    "pr:reopened": "open",
    "pr:from_ref_updated": "update",
    "pr:modified": "update",
    "pr:merged": "close",
    "pr:declined": "close",
    "pr:deleted": "close",
}
_COMMENTED = "pr:comment:added"
_PAGE = re.compile(
    r"(https?://[^/\s]{1,255}(?:/[^/\s]{1,64}){0,3}?)/(projects|users)/([^/\s]+)/repos/([^/\s]+)/browse"
)
_LINKS_LIMIT = 8


def speaks(event: str) -> bool:
    """Whether only Data Center has an event of this name."""
    return event == _PUSHED or event.startswith(("pr:", "repo:comment:", "mirror:", "project:"))


def addresses(document: Document) -> tuple[str, ...]:
    """Clone addresses where they are told (https before ssh), else what the repository's page leads to."""
    return _addresses(_repository(document))


def parse(envelope: Envelope, document: Document) -> tuple[Event, ...]:
    """`repo:refs_changed` is a Push or a RefDeleted for every ref, `pr:*` a ChangeRequest or a Comment."""
    if envelope.event == "diagnostics:ping":
        return (Ping(provider=envelope.provider, delivery=envelope.delivery),)
    if envelope.event == _PUSHED:
        told = tuple(_moved(envelope, document, change) for change in document.documents("changes"))
        return told or (envelope.ignored("NothingMoved", "No ref has moved."),)
    if envelope.event in _ACTIONS:
        return (_pull_request(envelope, document, _ACTIONS[envelope.event]),)
    if envelope.event == _COMMENTED:
        return (_comment(envelope, document),)
    return (envelope.not_used(_PUSHED, *_ACTIONS, _COMMENTED),)


def _moved(envelope: Envelope, document: Document, change: Document) -> Event:
    """Whether it was forced is nowhere told; what is absent has an id of all zeros."""
    return moved(
        envelope,
        url=_url(_repository(document)),
        ref=change.text("ref", "id"),
        before=change.text("fromHash"),
        after=change.text("toHash"),
        pusher=document.optional_text("actor", "name"),
        email=document.optional_text("actor", "emailAddress"),
    )


def _pull_request(envelope: Envelope, document: Document, action: ChangeAction) -> Event:
    url = _url(_repository(document))
    return requested(
        envelope,
        action,
        url=url,
        change=str(document.number("pullRequest", "id")),
        branch=document.text("pullRequest", "fromRef", "id"),
        base=document.text("pullRequest", "toRef", "id"),
        head=document.text("pullRequest", "fromRef", "latestCommit"),
        before=document.text("pullRequest", "toRef", "latestCommit"),
        head_url=_source(document, url),
        title=document.optional_text("pullRequest", "title"),
        actor=document.optional_text("actor", "name"),
        order=document.moment("date") or document.milliseconds("pullRequest", "updatedDate"),
        author=document.optional_text("pullRequest", "author", "user", "name"),
        merged=envelope.event == "pr:merged",
    )


def _comment(envelope: Envelope, document: Document) -> Event:
    return commented(
        envelope,
        url=_url(_repository(document)),
        change=str(document.number("pullRequest", "id")),
        comment=str(document.number("comment", "id")),
        body=document.said("comment", "text", limit=BODY_LIMIT),
        actor=document.login("actor", "name"),
        head=document.optional_text("pullRequest", "fromRef", "latestCommit"),
        order=document.milliseconds("comment", "createdDate") or document.moment("date"),
    )


def _source(document: Document, url: str) -> str:
    """Where the branch lies. Without an address it counts as a fork, unless the repositories' numbers agree."""
    found = document.find("pullRequest", "fromRef", "repository")
    source = Document(found if isinstance(found, dict) else {})
    number = source.find("id")
    if number is not None and number == document.find("pullRequest", "toRef", "repository", "id"):
        return url
    return next(iter(_addresses(source)), f"{url.removesuffix('.git')}-of-an-unknown-fork")


def _repository(document: Document) -> Document:
    """Where the branch goes to is the repository of a pull request."""
    for path in (("repository",), ("pullRequest", "toRef", "repository")):
        found = document.find(*path)
        if isinstance(found, dict):
            return Document(found)
    return Document({})


def _addresses(repository: Document) -> tuple[str, ...]:
    clone = [href for name, href in _links(repository, "clone") if name in ("http", "https", "ssh")]
    # Data Center says "http" for https as well, and names ssh in either order.
    clone.sort(key=lambda href: href.startswith("ssh"))
    if clone:
        return tuple(clone)
    pages = (_PAGE.match(href[:2048]) for _, href in _links(repository, "self"))
    return tuple(_cloned(page) for page in pages if page)


def _cloned(page: re.Match[str]) -> str:
    base, kind, owner, slug = page.groups()
    return f"{base}/scm/{'~' if kind == 'users' else ''}{owner.lower()}/{slug}.git"


def _links(repository: Document, kind: str) -> Iterator[tuple[str, str]]:
    found = repository.find("links", kind)
    for link in found[:_LINKS_LIMIT] if isinstance(found, list) else ():
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            name = link.get("name")
            yield name if isinstance(name, str) else "", link["href"]


def _url(repository: Document) -> str:
    found = _addresses(repository)
    if not found:
        detail = "Field repository.links must hold a clone address or the repository's own page."
        raise Problem(400, "MalformedPayload", detail)
    return found[0]
