"""The queue before a build plane: who has a slot, who waits, and what is said between it and the builds."""

from typing import Annotated, Literal

from pydantic import BeforeValidator

from model.priority import Priority
from model.statement import Sealed
from model.value import State, Value

RUNNING_LIMIT = 20
ENTRIES_LIMIT = 3000


class Limits(Value):
    """How many builds may run at once: on the plane, of any one project, of these projects and of these
    repositories. 0 is no limit of its own. Projects are `namespace/name`, repositories
    `namespace/normalised address`."""

    running: int = RUNNING_LIMIT
    per_project: int = 0
    projects: dict[str, int] = {}


class Entry(Value):
    """A build that wants a slot or has one.

    `build` is its workflow id. `line` is what newer builds replace older ones on (a component's branch, or its
    preview), `sequence` the order on it. `since` (seconds since the epoch) is when it, or what it has replaced,
    first asked. `repository_limit` is what the Repository allows, 0 for no limit.
    """

    build: str
    project: str
    repository: str = ""
    repository_limit: int = 0
    line: str
    commit: str
    sequence: int
    priority: Priority = "normal"
    since: float


class Running(Value):
    """A build with a slot since `granted_at`. `gives_way` names the build that will have the slot."""

    entry: Entry
    granted_at: float
    gives_way: str = ""


class Held(Value):
    """What a Build answers about its slot. `holds`: it has one; `wants`: it waits for one."""

    plane: str
    entry: Entry
    holds: bool = False
    wants: bool = False


class Asking(Sealed):
    """Builds that ask for slots of a plane, and the limits as declared now (None: as they were)."""

    plane: str
    entries: tuple[Entry, ...]
    limits: Limits | None = None


class Place(Value):
    """What became of an entry. `waits`: reason and message say what for, `position` counts from 1.
    `superseded`: `by` is newer on its line. `full`: it is not even in the queue and asks again later."""

    build: str
    result: Literal["granted", "waits", "superseded", "full"]
    reason: str = ""
    message: str = ""
    position: int = 0
    by: str = ""


class Places(Value):
    """The answer to an Asking, in its order."""

    places: tuple[Place, ...] = ()


class Leaving(Value):
    """A build needs its slot, or its place in the queue, no longer."""

    build: str


class LookQuestion(Value):
    """Ask how the builds of a queue really are: `builds` are those that it knows (workflow ids), `projects`
    those whose limits matter. What it does not know is asked as well if it began `before` (seconds since the
    epoch; 0: not at all), or is one of `unheard`: later ones have asked, or ask, by themselves."""

    plane: str
    builds: tuple[str, ...]
    projects: tuple[str, ...] = ()
    before: float = 0
    unheard: tuple[str, ...] = ()


class Look(Value):
    """How it is: known builds that have ended, open ones that the queue does not know, the limits as declared,
    whether anybody serves the plane (None: nobody could tell), and which builds did not answer."""

    ended: tuple[str, ...] = ()
    found: tuple[Held, ...] = ()
    limits: Limits | None = None
    served: bool | None = None
    # A queue that has been open since before they were named holds their number.
    silent: Annotated[tuple[str, ...], BeforeValidator(lambda told: () if isinstance(told, int) else told)] = ()


class QueueState(State):
    """All that a queue knows; what continue-as-new carries over.

    `known` is False until what ran before the queue began has been counted: until then nobody is let in.
    `served_last` says when a project last got a slot. `left` are the last builds that have left, so that what
    was sent before they left and arrives after it changes nothing. `unheard` are builds from before the queue that
    did not say whether they have a slot. `away_since` is 0 while the plane is served.
    """

    plane: str
    limits: Limits = Limits()
    known: bool = False
    running: dict[str, Running] = {}
    waiting: dict[str, Entry] = {}
    served_last: dict[str, float] = {}
    left: list[str] = []
    unheard: list[str] = []
    away_since: float = 0


class Waiting(Value):
    """A waiting build as people see it: its position, what it waits for, since when."""

    entry: Entry
    position: int
    reason: str
    message: str


class QueueView(Value):
    """A queue as people see it. Running builds by when they got their slot, waiting ones by their turn."""

    plane: str
    limits: Limits
    known: bool
    away_since: float = 0
    running: tuple[Running, ...] = ()
    waiting: tuple[Waiting, ...] = ()
