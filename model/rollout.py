"""One deployment of a release into one environment, and how it ended."""

from typing import Literal

from model.component import Component
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
    earlier step (a worker that was stopped and came back) is refused by it.
    """

    target: Target
    release: Release
    revision: int
    fence: int = 0
    last_good: Release | None = None


class Applied(Value):
    """What was applied: the Deployment (or CronJob) and the generation that must be observed.

    Pods are found by `selector`; `template` is the `towpath.dev/spec-hash` of its own, by which they are
    told from older ones.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    image: str
    stability_seconds: float
    deadline_seconds: float
    kind: Literal["Deployment", "CronJob"] = "Deployment"
    selector: dict[str, str] = {}
    template: str = ""
    replicas: int = 1


class RolloutResult(Value):
    """How a Rollout ended. `failed`: nothing good to go back to. `stuck`: going back failed as well.
    `inconclusive`: nobody can tell, and the release is left running until a person decides."""

    result: Literal["healthy", "rolled-back", "failed", "stuck", "cancelled", "inconclusive"]
    verdict: Verdict
    rollback_verdict: Verdict | None = None
