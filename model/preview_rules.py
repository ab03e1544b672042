"""Every decision about a preview, pure."""

import time
from collections.abc import Mapping

from model.duration import seconds
from model.failure import UserFailure
from model.lane import Answer
from model.markdown import cell
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.preview import (
    LIMIT_MOST,
    REST_SECONDS,
    TTL_MOST_SECONDS,
    Ending,
    PreviewEvent,
    PreviewOrder,
    PreviewRules,
    PreviewState,
)
from model.release import Release
from model.request_report import Report, ReportState

PREVIEWS = "towpath.dev/previews"
TTL = "towpath.dev/preview-ttl"
MOST = "towpath.dev/preview-limit"
IDS_KEPT = 100
HOLDING = frozenset({"building", "deploying", "ready", "failed", "closing"})
"""The phases in which a preview counts against the limit."""


def rules(component: Mapping[str, str], project: Mapping[str, str]) -> PreviewRules:
    """The rules that annotations state: the component's own before its project's, then the defaults.

    Raises:
        UserFailure: `InvalidManifest`, naming the annotation.
    """
    stated: dict[str, object] = {}
    said = {**project, **component}
    if PREVIEWS in said:
        if said[PREVIEWS] not in ("true", "false"):
            raise _invalid(PREVIEWS, 'write "true" or "false"')
        stated["enabled"] = said[PREVIEWS] == "true"
    if TTL in said:
        try:
            lasts = seconds(said[TTL], TTL)
        except UserFailure:
            raise _invalid(TTL, "write a duration such as 8h or 3d") from None
        if not 60 <= lasts <= TTL_MOST_SECONDS:
            raise _invalid(TTL, "from 1m to 30d")
        stated["ttl_seconds"] = lasts
    if MOST in said:
        text = said[MOST]
        if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= LIMIT_MOST):
            raise _invalid(MOST, f"write a whole number from 1 to {LIMIT_MOST}")
        stated["limit"] = int(text)
    return PreviewRules.model_validate(stated)


def environment(change: str) -> str:
    """The name by which a change's preview goes where other releases have an environment's."""
    return f"preview-{change}"


def step(first: EnvironmentStep, change: str) -> EnvironmentStep:
    """Where a preview runs: on the plane of the pipeline's first environment, verified by its rules, behind no
    gate. What it calls is that environment's, unless that is production.

    Hooks stay away, since what they change (a database) is the environment's and not the preview's; so do metrics'
    queries, which know it by another name.
    """
    policy = first.policy
    return EnvironmentStep(
        environment=environment(change),
        plane=first.plane,
        preview=True,
        neighbours="" if first.production else first.environment,
        policy=StepPolicy(
            stability_seconds=policy.stability_seconds,
            deadline_seconds=policy.deadline_seconds,
            checks=policy.checks,
            grpc=policy.grpc,
            jobs=policy.jobs,
            verification_seconds=policy.verification_seconds,
            source=f"preview of {first.environment}",
        ),
    )


def take(state: PreviewState, event: PreviewEvent, now: float) -> bool:
    """Take an event in; whether it changed anything. `now`: seconds since the epoch.

    The same event twice is one, and an older one never wins, in whichever order they come. A request that was
    closed comes back only when it is opened again, one that timed out with any newer push; what a person has
    closed is opened by a person or by opening the request again.
    """
    if event.id in state.recent or (event.at < state.wanted_at and not event.again):
        return False
    state.recent = [*state.recent, event.id][-IDS_KEPT:]
    if event.action == "close":
        # Also of what is closed already: an opening from between the two must not open it.
        state.wanted_at = event.at
        if state.ending is not None and state.ending.by in ("request", "component"):
            return False
        state.ending = Ending(by="request", reason=event.reason or "The request was closed.", since=now)
        return True
    if state.ending is not None and not _opens_again(state, event):
        return False
    back = state.ending is not None
    assert event.commit is not None  # noqa: S101  (only `close` comes without)
    same = state.wanted is not None and state.wanted.id == event.commit.id and not back
    # What a person asks for counts when it comes, and has no place in the order by the sender's clock.
    state.wanted_at = state.wanted_at if event.again else event.at
    state.wanted_sequence = event.sequence
    state.project, state.repository, state.branch = event.project, event.repository, event.branch
    state.title, state.actor = event.title, event.actor
    state.ending, state.removed = None, False
    if same and not event.again:
        return False
    state.wanted, state.shown = event.commit, ""
    state.opened_at = now if back or not state.opened_at else state.opened_at
    state.expires_at = now + state.ttl_seconds
    return True


def _opens_again(state: PreviewState, event: PreviewEvent) -> bool:
    ending = state.ending
    if ending is None or ending.by == "component":
        return False
    if ending.by == "time":
        return event.again or state.wanted is None or event.commit is None or event.commit.id != state.wanted.id
    return event.action == "open"


def refuse_order(state: PreviewState, order: PreviewOrder) -> Answer | None:
    """Why an order is refused; None when it is taken."""
    if order.id in state.recent:
        return None
    if order.kind == "extend" and not 60 <= order.seconds <= TTL_MOST_SECONDS:
        return Answer(accepted=False, reason="BadExtension", message="Extend by 1m to 30d from now.")
    if state.ending is not None:
        return Answer(
            accepted=False,
            reason="PreviewEnded",
            message=f"It has ended: {state.ending.reason} Open it again with `towpath preview open`.",
        )
    return None


def take_order(state: PreviewState, order: PreviewOrder, now: float) -> Answer:
    """Carry out an order that was not refused."""
    if order.id in state.recent:
        return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
    state.recent = [*state.recent, order.id][-IDS_KEPT:]
    if order.kind == "extend":
        state.expires_at = now + order.seconds
        return Answer(accepted=True, reason="Extended", message=f"It lasts until {moment(state.expires_at)}.")
    why = f": {order.reason}" if order.reason else ""
    state.ending = Ending(by="person", reason=f"{order.actor.name} closed it{why}.", since=now)
    return Answer(accepted=True, reason="Closing", message="It is being removed.")


def rests_until(state: PreviewState) -> float:
    """Until when an ended preview remembers its end. What a person closed stays closed for as long as it would
    have lasted, so that the next push does not bring it back."""
    if state.ending is None or state.ending.by == "component":
        return 0
    rest = state.ending.since + REST_SECONDS
    return max(rest, state.expires_at) if state.ending.by == "person" else rest


def shown_release(release: Release) -> Release:
    """The release as a preview runs it: one replica is enough to look at."""
    workload = release.workload.model_copy(update={"replicas": min(release.workload.replicas, 1)})
    return release.model_copy(update={"workload": workload})


def report(state: PreviewState, workflow: str, ended_early: bool = False) -> Report:
    """What the request is told of a preview as it is now. `ended_early`: before it ever came to anything, so
    that a status which says `pending` is not left behind."""
    said: dict[str, ReportState] = {"ready": "success", "failed": "failure", "closed": "closed"}
    return Report(
        repository=state.repository,
        namespace=state.component.namespace,
        change=state.change,
        commit=state.wanted.id if state.wanted else "",
        component=state.component.name,
        state="failure" if ended_early else said.get(state.phase, "pending"),
        title=_TITLES[state.phase],
        message=state.message,
        address=state.address if state.phase == "ready" else "",
        data_namespace=state.namespace,
        until=moment(state.expires_at) if state.phase == "ready" else "",
        workflow=workflow,
        comment=state.comment,
    )


def picture(state: PreviewState) -> list[str]:
    """The lines that Temporal's Web UI shows of it."""
    commit = state.wanted.id if state.wanted else ""
    lines = [
        f"**{state.phase}** {cell(f'{state.reason} {state.message}'.strip())}",
        "",
        f"- change `{state.change}` of `{state.repository}`, branch `{state.branch}`, commit `{commit}`",
        f"- namespace `{state.namespace}`",
    ]
    if state.address:
        lines.append(f"- address <{state.address}>")
    if state.ending is None:
        lines.append(f"- until {moment(state.expires_at)}")
    return lines


def moment(at: float) -> str:
    """A time for people, in UTC to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


_TITLES = {
    "waiting": "waits for a free place",
    "building": "builds",
    "deploying": "is being deployed",
    "ready": "is ready",
    "failed": "failed",
    "closing": "is being removed",
    "closed": "was removed",
}


def _invalid(annotation: str, what: str) -> UserFailure:
    return UserFailure("InvalidManifest", f"metadata.annotations.{annotation}: {what}")
