"""What came of one push: which components it touched, and their builds."""

from model.key import ComponentKey
from model.push import Push
from model.value import State, Value


class DeliveredBuild(Value):
    """One component's share in a delivery."""

    component: ComponentKey
    workflow: str
    phase: str = "running"
    message: str = ""


class DeliveryState(State):
    """What a query of a Delivery answers, and its result.

    `outcome` is a stable reason: `Building`, `Built`, `NothingTouched`, `NobodyFollows`, `NothingToBuild`,
    `OwnCommit`, `AlreadyHandled`, `SkippedByMessage`, or the reason for which the source could not be read.
    `commit` is what is built: the present head when the push was overtaken.
    """

    push: Push
    commit: str = ""
    outcome: str = "Accepted"
    message: str = ""
    builds: list[DeliveredBuild] = []
