"""Something has happened to a change request: what that means, the same for every sender."""

from model.actor import Actor
from model.change_request import ChangeAction, ChangeRequest, check_change
from model.comment import Association
from model.repository import branch_of, check_address, check_commit, check_ref, normalise
from triggers.webhooks.envelope import Envelope

TITLE_LIMIT = 200


def requested(
    envelope: Envelope,
    action: ChangeAction,
    url: str,
    change: str,
    branch: str,
    base: str,
    head: str,
    before: str = "",
    head_url: str = "",
    title: str = "",
    actor: str = "",
    order: int = 0,
    author: str = "",
    association: Association = "",
    merged: bool = False,
) -> ChangeRequest:
    """The event. Branches may be written as full refs; `head` is empty where the sender tells no whole id;
    `head_url` is where the branch lies, empty for the same repository; `author` opened the request, `association`
    is what they are to the repository; `order` is milliseconds since the epoch by the sender's clock, 0 when it
    does not say.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadChange`, `BadRef`, `BadCommit`.
    """
    check_address(url)
    check_change(change)
    names = [branch_of(check_ref(_full(name))) for name in (branch, base)]
    for commit in (head, before):
        if commit:
            check_commit(commit)
    return ChangeRequest(
        action=action,
        provider=envelope.provider,
        delivery=envelope.delivery,
        repository=normalise(url),
        url=url,
        change=change,
        branch=names[0],
        base=names[1],
        head=head,
        before=before,
        head_url=head_url,
        author=author,
        association=association,
        merged=merged and action == "close",
        fork=bool(head_url) and normalise(head_url).lower() != normalise(url).lower(),
        title=title[:TITLE_LIMIT],
        order=order,
        actor=Actor(kind="person", name=actor) if actor else Actor(),
    )


def _full(name: str) -> str:
    return name if name.startswith("refs/heads/") else f"refs/heads/{name}"
