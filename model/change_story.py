"""What came of one announced event of a change request."""

from model.change_request import ChangeRequest
from model.value import State


class ChangeState(State):
    """What a query of a ChangeDelivery answers, and its result. `outcome` is a stable reason: `Told`,
    `NobodyPreviews`, `NothingTouched`, `AwaitingOkToTest`, or the reason for which the source could not be read.
    `previews` and `ended` are workflow ids of those that were told to show it, and to end.
    """

    change: ChangeRequest
    commit: str = ""
    outcome: str = "Accepted"
    message: str = ""
    previews: list[str] = []
    ended: list[str] = []
