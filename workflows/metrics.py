"""What the workflows count, for Prometheus, silent on replay.

Labels are few and bounded on purpose: no component, no commit, no branch. Which run it was is asked of
Temporal's search attributes. The SDK adds `namespace`, `task_queue` and `workflow_type`.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.build import BuildPhase
    from model.rollout import Target

DELIVERIES = "towpath_deliveries_total"
BUILDS = "towpath_builds_total"
BUILD_SECONDS = "towpath_build_seconds"
ROLLOUTS = "towpath_rollouts_total"
ROLLOUT_SECONDS = "towpath_rollout_seconds"
LEAD_SECONDS = "towpath_lead_seconds"
PREVIEWS = "towpath_previews_total"
IMAGES = "towpath_images_total"
EVENTS = "towpath_cloudevents_total"
STATUSES_GIVEN_UP = "towpath_statuses_given_up_total"
SWEPT = "towpath_swept_total"
FORGOTTEN_REFS = "towpath_forgotten_refs_total"

QUEUE_RUNNING = "towpath_queue_running"
QUEUE_WAITING = "towpath_queue_waiting"
QUEUE_SECONDS = "towpath_queue_seconds"
QUEUE_CORRECTIONS = "towpath_queue_corrections_total"

BUCKETS: dict[str, tuple[float, ...]] = {
    BUILD_SECONDS: (5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 3 * 3600),
    ROLLOUT_SECONDS: (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800),
    QUEUE_SECONDS: (0.1, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600),
    LEAD_SECONDS: (15, 30, 60, 120, 300, 900, 3600, 4 * 3600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400),
}
"""Upper bounds in seconds of every histogram here; the SDK's own are made for milliseconds."""


def delivered(outcome: str) -> None:
    """A push has been dealt with; `outcome` is the stable reason that its Delivery ends with."""
    _count(DELIVERIES, "Deliveries that have ended, by outcome.", outcome=outcome)


def given_up(reason: str) -> None:
    """A commit's status never reached its provider."""
    _count(STATUSES_GIVEN_UP, "Commit statuses that were given up.", reason=reason)


def built(project: str, phase: BuildPhase, reason: str) -> None:
    """The Build at hand has ended."""
    _count(BUILDS, "Builds that have ended.", project=project, phase=phase, reason=reason)
    _observe(BUILD_SECONDS, "From a build's admission to its end.", _age(), phase=phase)


def rolled_out(target: Target, result: str) -> None:
    """The Rollout at hand has ended."""
    production = _yes(target.step.production)
    _count(
        ROLLOUTS,
        "Rollouts that have ended.",
        project=target.component.project,
        production=production,
        result=result,
    )
    _observe(ROLLOUT_SECONDS, "From a rollout's start to its end.", _age(), production=production, result=result)


def arrived(target: Target, sequence: int) -> None:
    """A change is healthy somewhere; `sequence` is when its push was accepted (milliseconds)."""
    seconds = max(0.0, workflow.time() - sequence / 1000)
    _observe(
        LEAD_SECONDS,
        "From an accepted push to healthy in an environment.",
        seconds,
        production=_yes(target.step.production),
    )


def imported(outcome: str) -> None:
    """A pushed image has been dealt with; `outcome` is the stable reason that its ImageDelivery ends with."""
    _count(IMAGES, "Images from outside that have been dealt with, by outcome.", outcome=outcome)


def sent_events(outcome: str, number: int) -> None:
    """Of the events for subscribers, so many were delivered, retried, refused, expired or overflowed."""
    counter = workflow.metric_meter().create_counter(EVENTS, "CloudEvents for subscribers, by outcome.")
    counter.add(number, {"outcome": outcome})


def previewed(project: str, result: str) -> None:
    """A preview has come to something; `result` is ready or failed, or by whom it was ended."""
    _count(PREVIEWS, "What previews have come to.", project=project, result=result)


def queue_length(plane: str, running: int, waiting: int) -> None:
    """How many builds have slots of a plane, and how many wait for one."""
    meter = workflow.metric_meter()
    meter.create_gauge(QUEUE_RUNNING, "Builds with a slot of the plane.").set(running, {"plane": plane})
    meter.create_gauge(QUEUE_WAITING, "Builds that wait for a slot.").set(waiting, {"plane": plane})


def admitted(plane: str, priority: str, seconds: float) -> None:
    """A build has been given a slot after waiting for it."""
    _observe(QUEUE_SECONDS, "From asking for a slot to having it.", seconds, plane=plane, priority=priority)


def queue_corrected(plane: str, ended: int, found: int, silent: int) -> None:
    """A look at the builds has shown the queue to be wrong: some had ended without a word, some were not known,
    some do not answer."""
    counter = workflow.metric_meter().create_counter(QUEUE_CORRECTIONS, "What looks at builds have put right.")
    for what, number in (("ended", ended), ("found", found), ("silent", silent)):
        if number:
            counter.add(number, {"plane": plane, "what": what})


def swept(found: str) -> None:
    """A sweep has started what nobody had announced; `found` is a push, a deletion or a delivery."""
    _count(SWEPT, "What sweeps have found that nobody had announced.", found=found)


def forgotten(number: int) -> None:
    """A ledger has dropped refs to make room."""
    counter = workflow.metric_meter().create_counter(FORGOTTEN_REFS, "Refs dropped from ledgers to make room.")
    counter.add(number)


def _count(name: str, description: str, **labels: str) -> None:
    workflow.metric_meter().create_counter(name, description).add(1, labels)


def _observe(name: str, description: str, seconds: float, **labels: str) -> None:
    workflow.metric_meter().create_histogram_float(name, description).record(seconds, labels)


def _age() -> float:
    return workflow.time() - workflow.info().start_time.timestamp()


def _yes(it: bool) -> str:
    return "true" if it else "false"
