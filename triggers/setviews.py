"""What the API answers about release sets; the command line reads the same."""

from model.actor import AUTOMATION, Actor
from model.release_set import EnvironmentState, MemberState
from model.value import Value


class SetRollbackView(Value):
    """The way back of a finished set in one environment."""

    environment: str
    workflow: str
    url: str = ""
    open: bool
    outcome: str = ""
    message: str = ""
    actor: Actor = AUTOMATION
    members: tuple[MemberState, ...] = ()


class SetView(Value):
    """A release set. `outcome` is empty while it is under way; `problem` says why its run cannot be asked.

    `digest` is what an approval of the set is bound to. Times: seconds since the epoch, 0 when unknown.
    """

    namespace: str
    project: str
    name: str
    workflow: str
    url: str = ""
    open: bool
    outcome: str = ""
    message: str = ""
    until: str = ""
    digest: str = ""
    actor: Actor = AUTOMATION
    reason: str = ""
    environments: tuple[EnvironmentState, ...] = ()
    rollbacks: tuple[SetRollbackView, ...] = ()
    problem: str = ""
    started_at: float = 0
    finished_at: float = 0
