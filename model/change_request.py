"""A request to take a change in (pull request, merge request), free of the sender's dialect."""

import re
from typing import Literal

from model.actor import AUTOMATION, Actor
from model.comment import Association
from model.failure import UserFailure
from model.key import ComponentKey
from model.value import Value

ChangeAction = Literal["open", "update", "close"]
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
NAME_RULE = "1 to 30 lower-case letters, digits and -"


class ChangeRequest(Value):
    """Something happened to a request to take `branch` into `base`.

    `change` is the request's number or name, `head` the commit that is asked for (empty: the branch's present
    head), `before` the base's commit (empty: unknown). `order` is when it happened by the sender's clock and
    `sequence` when it was accepted here, both in milliseconds since the epoch; an `order` of 0 means unknown.
    `fork`: the branch lies in another repository, at `head_url`. `author` opened the request, and `association` is
    what they are to the repository as the provider says; `merged`: it was closed by taking it in. `components`
    limits it to these and asks nobody whether they want previews: a person wanted one by hand (`again`: also of a
    commit that was tried before).
    """

    action: ChangeAction
    provider: str = ""
    delivery: str = ""
    repository: str
    url: str
    change: str
    branch: str = ""
    base: str = ""
    head: str = ""
    before: str = ""
    fork: bool = False
    head_url: str = ""
    author: str = ""
    association: Association = ""
    merged: bool = False
    title: str = ""
    order: int = 0
    sequence: int = 0
    actor: Actor = AUTOMATION
    components: tuple[ComponentKey, ...] = ()
    again: bool = False

    @property
    def at(self) -> int:
        """The order among the events of one request."""
        return self.order or self.sequence


def check_change(name: str) -> str:
    """The name itself when it can be part of a namespace's name.

    Raises:
        UserFailure: `BadChange`.
    """
    if not _NAME.fullmatch(name):
        raise UserFailure("BadChange", f"A change's name is {NAME_RULE}, for instance a pull request's number.")
    return name
