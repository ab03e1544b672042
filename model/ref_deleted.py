"""A branch or tag is gone: nothing is built for it, and what stood for it ends."""

from model.actor import AUTOMATION, Actor
from model.value import Value


class RefDeleted(Value):
    """A ref of a repository was deleted.

    `before` is the commit that it led to (`""` when unknown); the rest is as in `model.push.Push`.
    """

    provider: str = ""
    delivery: str = ""
    repository: str
    url: str
    ref: str
    before: str = ""
    sequence: int = 0
    actor: Actor = AUTOMATION
