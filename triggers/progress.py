"""How far the newest change of a component has come: one word for scripts, one sentence for people."""

from collections.abc import Sequence

from model.key import ComponentKey
from model.note import EnvironmentNote
from model.promotion import StepState
from triggers.views import BuildView, Progress, PromotionView


def progress(
    component: ComponentKey, problem: str, builds: list[BuildView], promotions: list[PromotionView]
) -> Progress:
    """Judge the newest build, and the walk of the release it made. Both lists come newest first."""
    if problem:
        return Progress(
            state="failed", reason="NotBuildable", message=problem, next="Correct the manifest or its source."
        )
    build = builds[0] if builds else None
    if build is not None and build.phase != "succeeded" and _is_newer(build, promotions):
        return _of_build(component, build)
    if build is not None and build.release:
        own = next((each for each in promotions if each.release.name == build.release), None)
        newest = promotions[0] if promotions else None
        # A person may have sent another release on its way since.
        chosen = newest if newest and (own is None or newest.started_at > own.started_at) else own
        if chosen is None:
            return Progress(
                state="done", reason="Released", message=f"{build.release} is built; none promotes it."
            )
        return of_promotion(component, chosen)
    if promotions:
        return of_promotion(component, promotions[0])
    return Progress(
        state="idle",
        reason="NothingYet",
        message="Nothing has been built yet.",
        next=f"Push to its branch, or: towpath trigger {component}",
    )


def paused(component: ComponentKey, found: Progress, environments: Sequence[EnvironmentNote]) -> Progress:
    """The same, but waiting where the deployment that moves waits for a person or for time."""
    note = next((each for each in environments if each.name == found.environment), None)
    if found.state != "moving" or note is None or note.health != "Waiting":
        return found
    where = f"{component} -e {note.name}"
    return Progress(
        # What goes on by itself after a while still moves.
        state="moving" if note.reason == "PausedForTime" else "waiting",
        reason=note.reason,
        message=f"{note.name}: {note.message}",
        next=f"towpath proceed {where}, or towpath abort {where}",
        environment=note.name,
    )


def progress_of_commit(
    component: ComponentKey, commit: str, builds: list[BuildView], promotions: list[PromotionView]
) -> Progress:
    """Judge one commit by its own builds and promotions; before there are any, it is on its way."""
    if not builds and not promotions:
        return Progress(
            state="moving", reason="CommitNotSeen", message=f"No build of {commit[:12]} yet; was it pushed?"
        )
    if builds and not promotions and builds[0].phase == "superseded":
        message = f"build {builds[0].number} of {commit[:7]}: superseded: {builds[0].message}"
        return Progress(state="done", reason="Superseded", message=message)
    return progress(component, "", builds, promotions)


def of_promotion(component: ComponentKey, promotion: PromotionView, until: str = "") -> Progress:
    """Judge one walk; `until` leaves out what comes after that environment."""
    steps = list(promotion.steps)
    if until:
        names = [step.environment for step in steps]
        steps = steps[: names.index(until) + 1] if until in names else steps
    release = promotion.release.name
    if promotion.problem:
        return Progress(
            state="moving" if promotion.open else "failed",
            reason="NoAnswer",
            message=f"{release}: {promotion.problem}",
            next="Is a control worker running? Its log says more.",
        )
    for step in steps:
        if step.phase in ("failed", "rolled-back", "rejected", "expired"):
            return Progress(
                state="failed",
                reason=step.reason or "Failed",
                message=f"{step.environment}: {step.phase}: {step.message}",
                next=f"towpath history {component} -e {step.environment}",
                environment=step.environment,
            )
    for step in steps:
        if step.phase in ("at-gate", "held"):
            return _waiting(component, step)
    for step in steps:
        if step.phase in ("pending", "deploying"):
            return Progress(
                state="moving",
                reason=step.reason or "Promoting",
                message=f"{step.environment}: {step.phase} {release}",
                environment=step.environment,
            )
    superseded = next((step for step in steps if step.phase == "superseded"), None)
    if superseded is not None:
        return Progress(
            state="done",
            reason="Superseded",
            message=f"{superseded.environment}: {superseded.message}",
            environment=superseded.environment,
        )
    if not steps:
        state = "moving" if promotion.open else "failed"
        return Progress.model_validate(
            {"state": state, "reason": "NoPipeline", "message": f"{release} has not entered its pipeline."}
        )
    last = steps[-1].environment
    return Progress(
        state="done", reason="Arrived", message=f"{release} is healthy up to {last}.", environment=last
    )


def _is_newer(build: BuildView, promotions: list[PromotionView]) -> bool:
    """A build that began after every promotion speaks of the newest change, one from before does not."""
    return all(build.started_at >= promotion.started_at for promotion in promotions)


def _of_build(component: ComponentKey, build: BuildView) -> Progress:
    what = f"build {build.number} of {build.commit[:7]}"
    if build.phase == "queued":
        return Progress(
            state="moving",
            reason=build.reason or "Queued",
            message=f"{what}: queued: {build.message}",
            next="towpath queue",
        )
    if build.phase in ("admitted", "running"):
        return Progress(state="moving", reason="Building", message=f"{what}: {build.phase}")
    if build.phase == "superseded":
        return Progress(state="moving", reason="Superseded", message=f"{what}: {build.message}")
    return Progress(
        state="failed",
        reason=build.reason or "BuildFailed",
        message=f"{what}: {build.phase}: {build.message}",
        next=f"towpath logs {component}, then push a correction or: towpath retry {component}",
    )


def _waiting(component: ComponentKey, step: StepState) -> Progress:
    environment, gate = step.environment, step.gate
    if step.phase == "held":
        return Progress(
            state="waiting",
            reason=step.reason or "LaneHeld",
            message=f"{environment}: {step.message}",
            next=f"towpath resume {component} -e {environment}",
            environment=environment,
        )
    message = step.message
    if gate is not None and gate.needed:
        left = gate.needed - gate.given
        message = f"waits for {left} more approval{'s' if left != 1 else ''} of {gate.needed}"
    return Progress(
        state="waiting",
        reason=step.reason or "AwaitingApproval",
        message=f"{environment}: {message}",
        next=f"towpath approve {component} -e {environment}",
        environment=environment,
    )
