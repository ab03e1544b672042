"""One deployment of a release into one environment, and how it ended."""

from typing import Literal

from model.component import Component
from model.hook import Undoing
from model.pipeline import EnvironmentStep
from model.release import Release
from model.value import Value
from model.verdict import Verdict


class Target(Value):
    """Where a release runs: the component, its environment, and the namespace there."""

    component: Component
    step: EnvironmentStep
    namespace: str


class RolloutRequest(Value):
    """What a Rollout is started with. `last_good` is where it goes back to; None when there is none yet.

    `fence` orders the writes to one lane: a later write carries a higher one, and a late write of an
    earlier step (a worker that was stopped and came back) is refused by it. One that is `going_back` runs no
    hooks of its own, but first undoes those in `undo`, in that order, and leaves out whatever makes it slower.
    `service` is the Service through which the release is verified (empty: the component's own).
    """

    target: Target
    release: Release
    revision: int
    fence: int = 0
    last_good: Release | None = None
    going_back: bool = False
    undo: tuple[Undoing, ...] = ()
    service: str = ""


class Applied(Value):
    """What was applied: the Deployment (or CronJob) and the generation that must be observed.

    Pods are found by `selector`; `template` is the `towpath.dev/spec-hash` of its own, by which they are
    told from older ones. Of a Rollout, `stops` says how often its controller waits for us, and `stop` is
    the one that is waited for (from 0; -1: none, the end). With `guard` nothing is waited for but trouble.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    image: str
    stability_seconds: float
    deadline_seconds: float
    kind: Literal["Deployment", "CronJob", "Rollout"] = "Deployment"
    selector: dict[str, str] = {}
    template: str = ""
    replicas: int = 1
    fence: int = 0
    stops: int = 0
    stop: int = -1
    guard: bool = False


class RolloutResult(Value):
    """How a Rollout ended. `failed`: nothing good to go back to. `stuck`: going back failed as well.
    `inconclusive`: nobody can tell, and the release is left running until a person decides. `untouched`: a hook
    before it failed, so nothing was applied.

    `undoings` are the hooks that were done for what runs now, for the day it is gone back from. `not_undone`
    says which compensations failed, and why: somebody must look before anything else happens there.
    """

    result: Literal["healthy", "rolled-back", "failed", "stuck", "cancelled", "inconclusive", "untouched"]
    verdict: Verdict
    rollback_verdict: Verdict | None = None
    undoings: tuple[Undoing, ...] = ()
    not_undone: tuple[str, ...] = ()
