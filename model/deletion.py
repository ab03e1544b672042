"""What came of a deleted ref."""

from model.key import ComponentKey
from model.ref_deleted import RefDeleted
from model.value import State, Value


class StandingPreview(Value):
    """A preview that shows a ref. `at` is the newest that it has taken in, by its own order."""

    component: ComponentKey
    change: str
    at: int


class Remains(Value):
    """What still stands for a ref. `built`: some component is built from its repository; `back`: the ref is there
    (again). `builds` are workflow ids."""

    built: bool = False
    back: bool = False
    previews: tuple[StandingPreview, ...] = ()
    builds: tuple[str, ...] = ()


class DeletionState(State):
    """What a query of a Deletion answers, and its result.

    `outcome` is a stable reason: `Cleared`, `NothingLeft`, `BackAgain` (the ref is there again), `NobodyBuilds`,
    or the reason for which nobody could tell. `previews` and `builds` are workflow ids of what was ended;
    `forgotten`: the ledger does not know the ref any more.
    """

    event: RefDeleted
    outcome: str = "Accepted"
    message: str = ""
    previews: list[str] = []
    builds: list[str] = []
    forgotten: bool = False
