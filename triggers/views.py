"""What the API answers with; the command line reads the same."""

from typing import Literal

from model.actor import Actor
from model.delivery import DeliveredBuild
from model.forecast import Forecast, RuleShown
from model.gate import GateState
from model.lane import Hold, Revision
from model.mark import Mark
from model.note import BuildNote, EnvironmentNote
from model.promotion import StepState
from model.release import Release
from model.steer import Pause
from model.sweep import Swept
from model.value import Value


class ComponentView(Value):
    """A component as declared and as its status tells. `problem` says why it cannot be understood."""

    namespace: str
    name: str
    api_version: str
    uid: str
    generation: int
    observed_generation: int = 0
    project: str = ""
    repository: str = ""
    branch: str = ""
    app_path: str = ""
    stage: str = ""
    ready: bool | None = None
    message: str = ""
    problem: str = ""
    release: str = ""
    image: str = ""
    build: BuildNote | None = None
    environments: tuple[EnvironmentNote, ...] = ()


class EventView(Value):
    """What a sender announced (or was found, or asked for): `kind` is push, change, deleted, comment, image or
    poison, `status` Temporal's of the workflow that takes care of it, `stage` how far that is or how it ended,
    `at` when it came, in seconds since the epoch."""

    workflow: str
    kind: str
    status: str
    stage: str = ""
    repository: str = ""
    commit: str = ""
    at: float = 0
    url: str = ""


class ConditionView(Value):
    """A condition on an object, as Kubernetes has them."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class RepositoryView(Value):
    """A Repository as declared, and what is known of its webhook.

    `own_secrets`: it names webhook secrets; `api`: its provider can be spoken to; `problem` says why it cannot be
    understood; `last` is what was announced last, as far as Temporal still keeps it (told of a single one).
    """

    namespace: str
    name: str
    repository: str = ""
    url: str = ""
    provider: str = ""
    own_secrets: bool = False
    api: bool = False
    conditions: tuple[ConditionView, ...] = ()
    problem: str = ""
    last: EventView | None = None


class BuildView(Value):
    """One attempt at building a commit. Times are seconds since the epoch, 0 when unknown."""

    workflow: str
    url: str = ""
    component: str
    commit: str
    author: str = ""
    subject: str = ""
    branch: str = ""
    number: int
    phase: str
    reason: str = ""
    message: str = ""
    argo: str = ""
    log: str = ""
    image: str = ""
    release: str = ""
    started_at: float = 0
    finished_at: float = 0


class PromotionView(Value):
    """One release's walk. `steps` come in the pipeline's order. `problem` says why its run cannot be asked;
    then the release is only what Temporal's list tells of it."""

    workflow: str
    url: str = ""
    open: bool
    release: Release
    actor: Actor
    until: str = ""
    problem: str = ""
    steps: tuple[StepState, ...] = ()
    started_at: float = 0
    finished_at: float = 0


class WaitingRelease(Value):
    """A release before a lane: at its gate, or in its queue. A `pinned` one stays when newer ones come."""

    release: str
    digest: str
    commit: str
    promotion: str
    pinned: bool = False


class ReleaseView(Release):
    """A release, and what people have said of it."""

    mark: Mark | None = None


class LaneView(Value):
    """One component in one environment. `revision` is the number of what runs, `deploying` of what comes, and
    `pause` what that waits for. The history leaves out revisions up to `forgotten`, which are no longer kept."""

    environment: str
    workflow: str
    url: str = ""
    current: Release | None = None
    last_good: Release | None = None
    revision: int = 0
    deploying: int = 0
    hold: Hold | None = None
    at_gate: tuple[WaitingRelease, ...] = ()
    waiting: tuple[WaitingRelease, ...] = ()
    history: tuple[Revision, ...] = ()
    forgotten: int = 0
    pause: Pause | None = None


class PreviewView(Value):
    """A component as a change request would make it. Times are seconds since the epoch; `expires_at` is 0 for one
    that has ended. `environment` is its name where others have an environment's."""

    component: str
    change: str
    environment: str
    workflow: str
    url: str = ""
    open: bool
    phase: str
    reason: str = ""
    message: str = ""
    branch: str = ""
    title: str = ""
    commit: str = ""
    subject: str = ""
    address: str = ""
    namespace: str = ""
    opened_at: float = 0
    expires_at: float = 0


class Progress(Value):
    """How far the newest change has come, for scripts: moving, waiting for people, done, failed, or idle.

    `message` says why, `next` what a person can do about it.
    """

    state: Literal["idle", "moving", "waiting", "done", "failed"]
    reason: str
    message: str
    next: str = ""
    environment: str = ""


class ComponentDetail(ComponentView):
    """A component with what moves and what waits."""

    progress: Progress
    builds: tuple[BuildView, ...] = ()
    promotions: tuple[PromotionView, ...] = ()


class Accepted(Value):
    """Something was started or told. `workflow` is where to look, `url` its page in Temporal's Web UI."""

    reason: str
    message: str
    workflow: str = ""
    url: str = ""
    duplicate: bool = False
    revision: int = 0


class DeliveryView(Value):
    """What a trigger has come to. `ref` and `asked` (a commit, empty for the ref's head) are what was wanted,
    `commit` is what is built; `outcome` is a stable reason (see `model.delivery`)."""

    workflow: str
    url: str = ""
    open: bool
    outcome: str
    message: str = ""
    ref: str = ""
    asked: str = ""
    commit: str = ""
    builds: tuple[DeliveredBuild, ...] = ()


class ScheduleView(Value):
    """A component that is built at times of its own. Times are seconds since the epoch, 0 for never; `last` is how
    the last one went, `workflow` its Delivery."""

    component: str
    times: tuple[str, ...]
    branch: str = ""
    schedule: str = ""
    next_at: float = 0
    problem: str = ""
    last_at: float = 0
    last: str = ""
    workflow: str = ""
    url: str = ""


class SweepView(Value):
    """A look at a repository, and what it has found that nobody had announced. `recorded` heads were only put
    down, since nobody follows them or the repository was seen for the first time."""

    workflow: str
    url: str = ""
    open: bool
    repository: str
    outcome: str
    message: str = ""
    refs: int = 0
    recorded: int = 0
    found: tuple[Swept, ...] = ()


class GateExplained(Value):
    """One release before a gate: it waits there (`promotion`), or is only tried. `gate` has every rule."""

    release: str
    promotion: str = ""
    waiting: bool = False
    reason: str = ""
    message: str = ""
    gate: GateState | None = None


class Explanation(Value):
    """Which rules a step has, from which objects, and what is missing for whom."""

    component: str
    environment: str
    pipeline: str
    sources: tuple[str, ...] = ()
    rules: tuple[RuleShown, ...] = ()
    releases: tuple[GateExplained, ...] = ()


class DryRun(Value):
    """What would happen to a release now, in the pipeline's order."""

    release: str
    steps: tuple[Forecast, ...] = ()


class FreezeView(Value):
    """A freeze. `begins` and `ends` are as they were given; an empty selector field matches all."""

    namespace: str
    name: str
    begins: str
    ends: str
    time_zone: str = "UTC"
    reason: str = ""
    by: str = ""
    environment: str = ""
    project: str = ""
    component: str = ""
