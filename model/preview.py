"""A preview: a component as a change request would make it, in a namespace of its own, with an end."""

from typing import Literal

from model.actor import AUTOMATION, Actor
from model.change_request import ChangeAction
from model.commit import Commit
from model.component import Component
from model.key import ComponentKey
from model.pipeline import EnvironmentStep
from model.release import Release
from model.value import State, Value

DAY = 86_400.0
TTL_SECONDS = 3 * DAY
TTL_MOST_SECONDS = 30 * DAY
LIMIT = 10
LIMIT_MOST = 100
REST_SECONDS = 3600.0
"""How long an ended preview remembers that it has ended, for events that come late."""

PreviewPhase = Literal["awaiting", "waiting", "building", "deploying", "ready", "failed", "closing", "closed"]
EndedBy = Literal["request", "person", "time", "component"]


class PreviewRules(Value):
    """What a component says about its previews: whether change requests make them, how long one lasts after
    the last push (seconds), and how many there may be at once."""

    enabled: bool = False
    ttl_seconds: float = TTL_SECONDS
    limit: int = LIMIT


class PreviewPlan(Value):
    """How a component is previewed now: as it is declared, where it runs, and its rules."""

    component: Component
    step: EnvironmentStep
    rules: PreviewRules


class Unwanted(Value):
    """A component of the repository that gets no preview of a change, and why. `unclear`: what it says about
    previews cannot be read, so that one which runs is left alone."""

    component: ComponentKey
    api_version: str = "openchoreo.dev/v1alpha1"
    reason: str
    message: str
    unclear: bool = False


class Candidates(Value):
    """Whom a change request concerns: those that are to be previewed, and the rest."""

    wanted: tuple[Component, ...] = ()
    unwanted: tuple[Unwanted, ...] = ()


class PreviewEvent(Value):
    """What a change request means for one component. `id` makes it idempotent: the same id is one effect.

    `at` orders the events of one request (milliseconds), `sequence` is when it was accepted here. `commit` is
    what is to be shown; None for `close`. `again`: also when this very commit was tried before.

    What is not `trusted` waits until somebody has allowed exactly this commit; `why` says to people what it is not
    trusted for. `url` and `ref` are where the commit is fetched, when that is not the branch in the component's
    own repository; `author` is who opened the request (a login of `provider`).
    """

    id: str
    action: ChangeAction
    component: ComponentKey
    project: str = "default"
    repository: str
    change: str
    branch: str = ""
    title: str = ""
    commit: Commit | None = None
    at: int
    sequence: int
    actor: Actor = AUTOMATION
    reason: str = ""
    again: bool = False
    trusted: bool = True
    why: str = ""
    url: str = ""
    ref: str = ""
    author: str = ""
    provider: str = ""


class PreviewOrder(Value):
    """A person's word to a preview, sent as an update; `id` makes it idempotent.

    `close`: end it now. `extend`: let it last `seconds` from now. `allow`: exactly `commit`, which waits since its
    author is not trusted, may be built. `retry`: build and show the present commit again (`only_failed`: only when
    it failed). `stop`: what is being built or deployed. `proof` as in all that people say.
    """

    id: str
    kind: Literal["close", "extend", "allow", "retry", "stop"]
    actor: Actor
    reason: str = ""
    seconds: float = 0
    commit: str = ""
    only_failed: bool = False
    proof: str = ""


class Ending(Value):
    """Why a preview ends: by whom, the reason for people, and since when (seconds since the epoch)."""

    by: EndedBy
    reason: str
    since: float


class PreviewState(State):
    """All that a preview knows, carried over by continue-as-new. Times are seconds since the epoch.

    `wanted` is the commit that is to be shown, `shown` the one that was dealt with last. `builds` and
    `revision` count attempts, so that their workflows get names of their own. `comment` is the provider's id
    of the comment on the request, `told` what its status says. `place` is where something may have been made:
    there it is to be removed.

    `awaiting` is the newest event whose commit nobody has allowed yet, `asked` the commit about which people were
    told so, `allowed` the commits that somebody has allowed (with `untrusted`, the wanted one is among them: it
    gets nothing worth having). `url` and `ref` are as in `PreviewEvent`, of the wanted commit. `rebuild`: nothing
    that was built before will do. `stopped`: who stopped the work under way.
    """

    component: ComponentKey
    change: str
    project: str = "default"
    repository: str = ""
    branch: str = ""
    title: str = ""
    phase: PreviewPhase = "waiting"
    reason: str = ""
    message: str = ""
    wanted: Commit | None = None
    wanted_at: int = 0
    wanted_sequence: int = 0
    shown: str = ""
    actor: Actor = AUTOMATION
    api_version: str = "openchoreo.dev/v1alpha1"
    declared: Component | None = None
    place: EnvironmentStep | None = None
    namespace: str = ""
    release: Release | None = None
    address: str = ""
    log: str = ""
    ttl_seconds: float = TTL_SECONDS
    opened_at: float = 0
    expires_at: float = 0
    ending: Ending | None = None
    removed: bool = False
    builds: int = 0
    revision: int = 0
    comment: int = 0
    told: str = ""
    recent: list[str] = []
    awaiting: PreviewEvent | None = None
    asked: str = ""
    allowed: list[str] = []
    untrusted: bool = False
    url: str = ""
    ref: str = ""
    author: str = ""
    provider: str = ""
    rebuild: bool = False
    stopped: str = ""
