"""A lane: one component in one environment. Its state, and every decision about it."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.component import Component
from model.hook import Undoing
from model.pipeline import EnvironmentStep
from model.release import Release
from model.steer import Pause
from model.value import State, Value
from model.verdict import Verdict
from model.vigil import Alarm

RULES = 2
"""The generation of rules that new runs decide by. Runs that began under 1 keep to it until they are renewed,
since what they have decided is in their histories."""
HISTORY_KEPT = 100
HISTORY_BYTES = 512 * 1024
IDS_KEPT = 500
QUEUE_KEPT = 50
BAD_KEPT = 500


class LaneRequest(Value):
    """Somebody wants something of the lane. `id` makes it idempotent: the same id is one effect.

    `candidate` waits at the lane's gate, `deploy` runs a release, `withdraw` takes a candidate back.
    `restore` is a release set's compensation: back to what ran before the revision that the request
    `undo_of` made; it needs no gate, goes before what waits, and sets no floor.
    `promotion` is the workflow to tell how it went, `set` the release set it belongs to (its workflow; empty
    for none). A `pinned` request is not superseded by newer ones; `allow_older` is a person's word that going
    to an older release than the last good one is meant. With `hand_back` a deployment that a hold kept waiting
    goes back before the gate, to be judged anew when the lane goes on: rules and words do not outlast a hold.
    `traceparent` (W3C; empty when nothing is traced) is the trace that what the lane does for this request
    belongs to.
    """

    id: str
    kind: Literal["candidate", "deploy", "withdraw", "restore"]
    component: Component
    step: EnvironmentStep
    release: Release
    actor: Actor = AUTOMATION
    promotion: str = ""
    reason: str = ""
    traceparent: str = ""
    pinned: bool = False
    allow_older: bool = False
    set: str = ""
    undo_of: str = ""
    hand_back: bool = False


class LaneSettled(Value):
    """The lane's answer to a promotion.

    `held` is not final: the request still waits. `handed-back` ends a hold for who asked with `hand_back`: it
    stands before the gate, and asks anew. Nor is `inconclusive` final: the release runs, unproven, until a
    person accepts it (`healthy` follows), goes back (`rolled-back`), or another release takes its place.
    """

    request: str
    environment: str
    result: Literal[
        "healthy",
        "rolled-back",
        "failed",
        "stuck",
        "cancelled",
        "superseded",
        "held",
        "handed-back",
        "refused",
        "inconclusive",
        "untouched",
    ]
    reason: str = ""
    message: str = ""
    revision: int = 0
    verdict: Verdict | None = None
    traceparent: str = ""


class Order(Value):
    """A person's word to a lane, sent as an update; `id` makes it idempotent.

    `rollback`: to `revision` (0: the last good one before the present). `undo`: to what ran before the last
    change. `deploy`: to `release`, given whole. `hold` / `resume`: stop automation and let it go on.
    `accept`: what is inconclusive and runs counts as healthy. `pin` / `unpin`: the waiting `release` is not
    superseded by newer ones. `mark-bad` / `mark-good`: what `release` is worth, as kept on its
    ComponentRelease. `allow_older` as in `LaneRequest`. `traceparent` likewise.
    """

    id: str
    kind: Literal[
        "rollback",
        "undo",
        "deploy",
        "hold",
        "resume",
        "accept",
        "pin",
        "unpin",
        "mark-bad",
        "mark-good",
    ]
    actor: Actor
    reason: str = ""
    revision: int = 0
    release: Release | None = None
    component: Component | None = None
    step: EnvironmentStep | None = None
    traceparent: str = ""
    allow_older: bool = False
    proof: str = ""

    @property
    def goes_back(self) -> bool:
        """Whether it is a way back, which needs no gate and waits for nothing."""
        return self.kind in ("rollback", "undo")

    @property
    def moves(self) -> bool:
        """Whether it changes what runs, and so goes before whatever is under way."""
        return self.goes_back or self.kind == "deploy"


class Answer(Value):
    """What a person is told in return: the stable reason, a message, and where to look."""

    accepted: bool
    reason: str
    message: str
    workflow: str = ""
    revision: int = 0


class Revision(Value):
    """One line of a lane's history: what ran, who wanted it, how it went (times: seconds since epoch).

    `result` is a `RolloutResult`'s, or `deploying`, or `superseded` (an order that another one replaced before
    it began), or `unhealthy` (it was healthy, and an alarm said later that it no longer is). `restored` is the
    revision that a rollback went back to, `request` what asked for it, `accepted_by` who took an inconclusive
    one as healthy. `undoings` are the hooks that were done for it and have to be undone when it is gone back from.
    """

    number: int
    release: Release
    kind: Literal["deploy", "rollback"]
    actor: Actor
    reason: str = ""
    result: str = "deploying"
    verdict: Verdict | None = None
    started_at: float
    finished_at: float = 0
    restored: int = 0
    request: str = ""
    accepted_by: str = ""
    undoings: tuple[Undoing, ...] = ()


class Hold(Value):
    """Automation is stopped: by whom, why, since when (seconds since the epoch). `revision` names the one
    whose inconclusive verdict did it (0: something else did)."""

    actor: Actor
    reason: str
    since: float
    revision: int = 0


class LaneState(State):
    """All that a lane knows, carried over by continue-as-new.

    `deploying` is the revision under way (0: none). `floor`: automation deploys no release whose sequence
    is at or below it, since the lane went back from there (`floor_reason`). `rules`: the generation of the
    rules in `lane_rules` that this run decides by. `bad`: releases marked so, and why. `undecided`: the
    request whose release runs inconclusively. `vigil`: who watches what runs. `forgotten`: revisions up to
    this one are no longer kept. `pause`: what the revision under way waits for. `held`: the candidates (ids)
    that had been past the gate when the hold came.
    """

    component: Component | None = None
    step: EnvironmentStep | None = None
    current: Release | None = None
    last_good: Release | None = None
    next_revision: int = 1
    history: list[Revision] = []
    waiting: list[LaneRequest] = []
    candidates: list[LaneRequest] = []
    orders: list[Order] = []
    hold: Hold | None = None
    floor: int = 0
    deploying: int = 0
    recent: list[str] = []
    rules: int = 1
    bad: dict[str, str] = {}
    alarms: list[Alarm] = []
    undecided: LaneRequest | None = None
    vigil: str = ""
    forgotten: int = 0
    floor_reason: str = ""
    pause: Pause | None = None
    held: list[str] = []
