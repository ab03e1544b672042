"""Somebody has written a comment on a change request: what that means, the same for every sender."""

from model.actor import Actor
from model.change_request import check_change
from model.comment import BODY_LIMIT, Association, Comment
from model.repository import check_address, check_commit, normalise
from triggers.webhooks.envelope import Envelope


def commented(
    envelope: Envelope,
    url: str,
    change: str,
    comment: str,
    body: str,
    actor: str,
    head: str = "",
    association: Association = "",
    order: int = 0,
) -> Comment:
    """The event. `actor` is whatever the sender has that nobody else can take: a login, not a shown name.

    Raises:
        UserFailure: `BadRepositoryAddress`, `BadChange`, `BadCommit`.
    """
    check_address(url)
    check_change(change)
    if head:
        check_commit(head)
    return Comment(
        provider=envelope.provider,
        delivery=envelope.delivery,
        repository=normalise(url),
        url=url,
        change=change,
        comment=comment,
        body=body[:BODY_LIMIT],
        head=head,
        association=association,
        order=order,
        actor=Actor(kind="person", name=actor) if actor else Actor(),
    )
