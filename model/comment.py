"""Something was said on a change request, free of the sender's dialect."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.value import Value

BODY_LIMIT = 16 * 1024
Association = Literal["", "owner", "member", "collaborator", "contributor", "none"]
"""What somebody is to a repository as its provider says; empty where it says nothing."""


class Comment(Value):
    """Somebody wrote a comment on a change request.

    `comment` is the comment's own id, `body` at most `BODY_LIMIT` characters of it, `head` the commit that the
    request asks for at that time where the sender tells it. `actor` is who wrote it: only ever what the verified
    event says. `order` is when, by the sender's clock, and `sequence` when it was accepted here, both in
    milliseconds since the epoch; an `order` of 0 means unknown.
    """

    provider: str = ""
    delivery: str = ""
    repository: str
    url: str
    change: str
    comment: str
    body: str = ""
    head: str = ""
    association: Association = ""
    order: int = 0
    sequence: int = 0
    actor: Actor = AUTOMATION
