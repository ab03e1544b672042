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


def step(first: EnvironmentStep, change: str, untrusted: bool = False) -> EnvironmentStep:
    """Where a preview runs: on the plane of the pipeline's first environment, verified by its rules, behind no
    gate. What it calls is that environment's, unless that is production, or its code is not trusted.

    Hooks stay away, since what they change (a database) is the environment's and not the preview's; so do metrics'
    queries, which know it by another name.
    """
    policy = first.policy
    return EnvironmentStep(
        environment=environment(change),
        plane=first.plane,
        preview=True,
        neighbours="" if first.production or untrusted else first.environment,
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
    commit = event.commit
    assert commit is not None  # noqa: S101  (only `close` comes without)
    same = state.wanted is not None and state.wanted.id == commit.id and not back
    # What a person asks for counts when it comes, and has no place in the order by the sender's clock.
    state.wanted_at = state.wanted_at if event.again else event.at
    state.wanted_sequence = event.sequence
    state.project, state.repository, state.branch = event.project, event.repository, event.branch
    state.title, state.actor = event.title, event.actor
    state.author, state.provider = event.author or state.author, event.provider or state.provider
    state.ending, state.removed = None, False
    state.opened_at = now if back or not state.opened_at else state.opened_at
    if not event.trusted and commit.id not in state.allowed:
        return _await(state, event, back, now)
    state.awaiting = None
    if same and not event.again and not (state.untrusted and event.trusted):
        return False
    _want(state, event, now)
    return True


def _await(state: PreviewState, event: PreviewEvent, back: bool, now: float) -> bool:
    """Nothing of it runs until somebody allows it. What was allowed before, and runs, goes on."""
    if back:
        state.wanted, state.shown = None, ""
    known = state.awaiting is not None and state.awaiting.commit == event.commit and not back
    state.awaiting = event
    if known:
        return False
    state.asked = ""
    state.expires_at = now + state.ttl_seconds
    return True


def _want(state: PreviewState, event: PreviewEvent, now: float) -> None:
    state.wanted, state.shown = event.commit, ""
    state.untrusted, state.url, state.ref = not event.trusted, event.url, event.ref
    state.expires_at = now + state.ttl_seconds


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
    against = {"allow": _against_allowing, "retry": _against_retrying, "stop": _against_stopping}.get(order.kind)
    said = against(state, order) if against else None
    return Answer(accepted=False, reason=said[0], message=said[1]) if said else None


def _against_allowing(state: PreviewState, order: PreviewOrder) -> tuple[str, str] | None:
    if order.commit in state.allowed:
        return None
    waiting = state.awaiting.commit if state.awaiting is not None else None
    if waiting is None:
        return "NothingAwaits", "No commit of this request waits to be allowed."
    if waiting.id != order.commit:
        return "OtherCommit", f"The request is at {waiting.id} by now; look at that one, and allow it."
    return None


def _against_retrying(state: PreviewState, order: PreviewOrder) -> tuple[str, str] | None:
    if state.wanted is None:
        return "NeedsOkToTest", "Its author is not trusted: it needs /ok-to-test with the commit's id."
    if state.shown != state.wanted.id:
        return "StillWorking", f"{state.wanted.id[:12]} is being worked on; wait, or stop it."
    if order.only_failed and state.phase != "failed":
        return "NothingFailed", f"{state.wanted.id[:12]} did not fail."
    return None


def _against_stopping(state: PreviewState, _order: PreviewOrder) -> tuple[str, str] | None:
    if state.wanted is None or state.shown == state.wanted.id:
        return "NothingRuns", "Nothing of it is being built or deployed."
    return None


def take_order(state: PreviewState, order: PreviewOrder, now: float) -> Answer:
    """Carry out an order that was not refused."""
    if order.id in state.recent:
        return Answer(accepted=True, reason="AlreadyAccepted", message="This was accepted before.")
    state.recent = [*state.recent, order.id][-IDS_KEPT:]
    if order.kind == "extend":
        state.expires_at = now + order.seconds
        return Answer(accepted=True, reason="Extended", message=f"It lasts until {moment(state.expires_at)}.")
    if order.kind == "allow":
        return _allow(state, order, now)
    if order.kind == "retry":
        state.shown, state.rebuild = "", True
        state.expires_at = now + state.ttl_seconds
        return Answer(accepted=True, reason="Retrying", message="It is built and shown again.")
    if order.kind == "stop":
        state.stopped = order.actor.name
        return Answer(accepted=True, reason="Stopping", message="What is under way is being stopped.")
    why = f": {order.reason}" if order.reason else ""
    state.ending = Ending(by="person", reason=f"{order.actor.name} closed it{why}.", since=now)
    return Answer(accepted=True, reason="Closing", message="It is being removed.")


def _allow(state: PreviewState, order: PreviewOrder, now: float) -> Answer:
    short = order.commit[:12]
    event = state.awaiting
    if event is None or event.commit is None or event.commit.id != order.commit:
        return Answer(accepted=True, reason="AlreadyAllowed", message=f"{short} was allowed before.")
    state.allowed = [*state.allowed, order.commit][-IDS_KEPT:]
    state.awaiting, state.wanted_sequence = None, event.sequence
    _want(state, event, now)
    message = f"{short}, and nothing that is pushed after it, is built without secrets."
    return Answer(accepted=True, reason="Allowed", message=message)


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
        commit=_spoken_of(state),
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


def plea(state: PreviewState, workflow: str) -> Report:
    """What the request is told of a commit that waits to be allowed."""
    commit = _spoken_of(state, newest=True)
    why = state.awaiting.why if state.awaiting is not None else ""
    return Report(
        repository=state.repository,
        namespace=state.component.namespace,
        change=state.change,
        commit=commit,
        component=state.component.name,
        state="pending",
        title=f"needs /ok-to-test {commit}",
        message=why,
        workflow=workflow,
        comment=state.comment,
    )


def _spoken_of(state: PreviewState, newest: bool = False) -> str:
    """The commit that a report is about; `newest`: also when it waits to be allowed while another is shown."""
    waiting = state.awaiting.commit if state.awaiting is not None else None
    commit = (waiting or state.wanted) if newest else (state.wanted or waiting)
    return commit.id if commit is not None else ""


def picture(state: PreviewState) -> list[str]:
    """The lines that Temporal's Web UI shows of it."""
    commit = _spoken_of(state)
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
    if state.awaiting is not None and state.awaiting.commit is not None:
        lines.append(f"- needs `/ok-to-test {state.awaiting.commit.id}`: {cell(state.awaiting.why)}")
    if state.untrusted:
        lines.append("- not trusted: without secrets and neighbours")
    return lines


def moment(at: float) -> str:
    """A time for people, in UTC to the minute."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


_TITLES = {
    "awaiting": "needs /ok-to-test",
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
