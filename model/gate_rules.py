"""Whether a gate is open: every rule of a step judged together, from what is known. No clocks: `now` is handed in.

What is not known is not met: each rule says what it misses, and until when.
"""

from datetime import UTC, datetime

from model import gate
from model.gate import Approval, GateItem, GateState, GateSubject, approval_state, next_lapse
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.question import ExternalAnswer
from model.requirement import Requirement
from model.soak import Soak
from model.standing import Standing
from model.timetable import Opening
from model.value import Value

# Where nothing tells of a change, it is looked for again after so long (seconds).
STANDING_PAUSE = 900.0
SOAK_PAUSE = 3600.0
PROBLEM_PAUSE = 300.0


class GateFacts(Value):
    """What was found out about the world, for one gate. `problem` says why its rules cannot be read."""

    opening: Opening | None = None
    soaks: tuple[Soak, ...] = ()
    standings: tuple[Standing, ...] = ()
    answers: tuple[ExternalAnswer, ...] = ()
    problem: GateItem | None = None


def gate_state(
    subject: GateSubject, step: EnvironmentStep, approvals: tuple[Approval, ...], facts: GateFacts, now: float
) -> GateState:
    """The gate as it is at `now` (seconds since the epoch), with a line for each rule it has."""
    policy, environment = step.policy, step.environment
    words = approval_state(environment, approvals, policy, now)
    items = tuple(
        item.model_copy(update={"source": policy.origins.get(_RULES[item.kind], "")})
        for item in (
            *((facts.problem,) if facts.problem else ()),
            *_approval_items(words, approvals, policy, now),
            *_soak_items(step, facts, now),
            *_standing_items(subject, step, facts),
            *_time_items(environment, approvals, policy, facts, now),
            *_external_items(policy, facts, now),
        )
    )
    missing = [item for item in items if not item.met]
    moments = [item.until for item in items if item.until > now]
    state = words.model_copy(update={"requirements": items, "changes_at": min(moments, default=0.0)})
    if words.closed or not missing:
        if len(items) == 1 or words.closed:
            return state
        reason = "Approved" if policy.approvals else "GateMet" if items else words.reason
        return state.model_copy(update={"open": True, "reason": reason, "message": _said(items) or words.message})
    refused = next((item for item in missing if item.reason in _FINAL), None)
    if refused is not None:
        found = {"open": False, "closed": True, "reason": refused.reason, "message": refused.message}
        return state.model_copy(update=found)
    return state.model_copy(
        update={
            "open": False,
            "reason": missing[0].reason,
            "message": " ".join(item.message for item in missing),
        }
    )


def asks_outside(state: GateState) -> bool:
    """Whether only outside answers are missing: they are asked for last, so that they are fresh."""
    return not state.closed and all(item.met or item.kind == "external" for item in state.requirements)


def soaks_since(release: str, environment: str, standing: Standing) -> Soak:
    """What a source's lane says about a release's soak; the pods have a word after it."""
    if standing.release != release:
        message = f"{environment} does not run {release}: {standing.message}"
        return Soak(environment=environment, well=False, reason="NotInSource", message=message, at=standing.at)
    if not standing.healthy:
        return Soak(
            environment=environment,
            well=False,
            reason="SourceNotHealthy",
            message=standing.message,
            at=standing.at,
        )
    return Soak(environment=environment, well=True, since=standing.since, at=standing.at)


_RULES = {
    "policy": "",
    "approvals": "approvals",
    "soak": "soak_seconds",
    "requires": "requires",
    "freeze": "freezes",
    "window": "windows",
    "external": "external",
}
_FINAL = {"ExternalRefused", "ExternalUnanswered"}


def _said(items: tuple[GateItem, ...]) -> str:
    return " ".join(item.message for item in items if item.message)


def _approval_items(
    words: GateState, approvals: tuple[Approval, ...], policy: StepPolicy, now: float
) -> tuple[GateItem, ...]:
    if not policy.approvals and not words.closed:
        return ()
    given = gate.last_words(words.environment, approvals, policy, now)
    lapse = next_lapse(tuple(given), policy, now)
    until = now + lapse if lapse is not None else 0.0
    return (GateItem(kind="approvals", met=words.open, reason=words.reason, message=words.message, until=until),)


def _soak_items(step: EnvironmentStep, facts: GateFacts, now: float) -> tuple[GateItem, ...]:
    wanted = step.policy.soak_seconds
    if not wanted:
        return ()
    return tuple(_soak_item(source, wanted, facts, now) for source in step.sources)


def _soak_item(source: str, wanted: float, facts: GateFacts, now: float) -> GateItem:
    soak = next((soak for soak in facts.soaks if soak.environment == source), None)
    if soak is None:
        return _item(
            "soak", source, False, "SoakUnknown", f"How long it has been well in {source} is not known yet."
        )
    if not soak.well:
        again = soak.at + STANDING_PAUSE
        return _item("soak", source, False, soak.reason, soak.message, again)
    ends = soak.since + wanted
    if soak.at >= ends:
        return _item("soak", source, True, "Soaked", f"Well in {source} for {_span(wanted)}.")
    why = f" {soak.message}" if soak.message else ""
    # The last look is when it ends; before, some in between tell people when it begins anew.
    between = soak.at + max(SOAK_PAUSE, wanted / 4)
    message = f"Must be well in {source} for {_span(wanted)}; it has been since {_utc(soak.since)}.{why}"
    return _item("soak", source, False, "Soaking", message, min(ends, between) if between > now else ends)


def _standing_items(subject: GateSubject, step: EnvironmentStep, facts: GateFacts) -> tuple[GateItem, ...]:
    return tuple(_standing_item(subject, step, requirement, facts) for requirement in step.policy.requires)


def _standing_item(
    subject: GateSubject, step: EnvironmentStep, requirement: Requirement, facts: GateFacts
) -> GateItem:
    environment = requirement.environment or step.environment
    where = f"{requirement.component} in {environment}"
    found = next(
        (
            standing
            for standing in facts.standings
            if (standing.component.name, standing.environment) == (requirement.component, environment)
        ),
        None,
    )
    if found is None:
        return _item("requires", where, False, "RequirementUnknown", f"What runs of {where} is not known yet.")
    against = _against(subject, requirement, found)
    if against is None:
        return _item("requires", where, True, "RequirementMet", f"{where} is at {found.release}.")
    return _item("requires", where, False, against[0], f"{where}: {against[1]}", found.at + STANDING_PAUSE)


def _against(subject: GateSubject, requirement: Requirement, found: Standing) -> tuple[str, str] | None:
    projects = {release.project for release in subject.releases}
    if found.project and found.project not in projects:
        return "OtherProject", f"it belongs to project {found.project}."
    if not found.healthy:
        return "RequirementNotHealthy", found.message or "it is not healthy."
    if requirement.release and not found.wanted:
        return "RequirementUnknown", f"there is no release {requirement.release}."
    if requirement.release and found.sequence < found.wanted:
        return "RequirementOlder", f"{found.release} is older than {requirement.release}."
    if requirement.same_commit:
        commits = {release.commit.id for release in subject.releases}
        newest = max((release.sequence for release in subject.releases), default=0)
        if found.commit.id not in commits and found.sequence < newest:
            return "RequirementOlder", f"{found.release} is of an older commit."
    return None


def _time_items(
    environment: str, approvals: tuple[Approval, ...], policy: StepPolicy, facts: GateFacts, now: float
) -> tuple[GateItem, ...]:
    if not (policy.windows or policy.freezes):
        return ()
    opening = facts.opening
    if opening is None or (opening.until and now >= opening.until):
        return (_item("window", "", False, "WindowUnknown", "Whether a window is open is not known yet."),)
    kind: gate.ItemKind = "freeze" if opening.reason == "Frozen" else "window"
    if opening.open:
        return (_item(kind, "", True, "WindowOpen", opening.message, opening.until),)
    past = gate.override(environment, approvals, policy, now)
    if past is not None:
        message = f"{past.actor.name} went past it: {past.reason}"
        lapses = past.at + policy.approval_lasts_seconds
        until = min(opening.until, lapses) if opening.until else lapses
        return (_item(kind, "", True, "Overridden", message, until),)
    return (_item(kind, "", False, opening.reason, opening.message, opening.until),)


def _external_items(policy: StepPolicy, facts: GateFacts, now: float) -> tuple[GateItem, ...]:
    items = []
    for external in policy.external:
        name = external.name
        answer = next((answer for answer in facts.answers if answer.name == name), None)
        if answer is None:
            items.append(_item("external", name, False, "NotAsked", f"{name} is asked when all else is met."))
            continue
        if answer.answer == "yes":
            lasts = answer.at + external.lasts_seconds
            if now < lasts:
                items.append(_item("external", name, True, "ExternalAgrees", f"{name}: {answer.message}", lasts))
            else:
                items.append(_item("external", name, False, "NotAsked", f"{name} is asked once more."))
            continue
        no = answer.answer == "no"
        if now - answer.first >= external.limit_seconds:
            reason = "ExternalRefused" if no else "ExternalUnanswered"
            items.append(_item("external", name, False, reason, f"{name}: {answer.message}"))
            continue
        reason = "ExternalRefuses" if no else "ExternalUnknown"
        again = min(answer.at + external.retry_seconds, answer.first + external.limit_seconds)
        message = f"{name}: {answer.message} Asked again until {_utc(answer.first + external.limit_seconds)}."
        items.append(_item("external", name, False, reason, message, again))
    return tuple(items)


def _item(kind: gate.ItemKind, name: str, met: bool, reason: str, message: str, until: float = 0) -> GateItem:
    return GateItem(kind=kind, name=name, met=met, reason=reason, message=message, until=until)


def _span(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (left, "s")]
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def _utc(moment: float) -> str:
    # By UTC, for which there is no zone data: every worker writes the same.
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
