"""What is left to do when a component has been deleted."""

from model.component import Component
from model.value import State, Value


class TeardownRequest(Value):
    """What a Teardown is started with: the component as it was last seen."""

    component: Component


class OpenRuns(Value):
    """Workflow ids of what still runs for a component alone, by type."""

    deliveries: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    promotions: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()
    previews: tuple[str, ...] = ()


class TeardownState(State):
    """How far the clean-up is; `back` says that the component was declared again meanwhile."""

    stopped: list[str] = []
    removed: list[str] = []
    back: bool = False
