"""A policy's gates, and Freezes, as the engine's own rules."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from model.duration import seconds
from model.external import External
from model.failure import UserFailure
from model.requirement import Requirement
from model.resources.freeze import Freeze as DeclaredFreeze
from model.resources.gates import DAYS, ExternalRule, FreezeRule, WindowRule, WindowRules
from model.resources.promotion_policy import PromotionPolicySpec
from model.timetable import next_open
from model.window import DAY_MINUTES, Freeze, Window, zone

# Any week will do to see whether windows ever open: an ordinary Monday.
_SOME_MONDAY = 1_767_571_200.0
_FREEZE_LIMIT = 2 * 366 * 86_400


def stated(spec: PromotionPolicySpec, where: str) -> dict[str, Any]:
    """The gates that a policy states, under `StepPolicy`'s names; `where` begins the names of fields.

    Raises:
        UserFailure: `BadWindow`, `BadFreeze`, `BadApprovals`, `BadExternal`, `UnknownTimeZone`, `BadDuration`.
    """
    found: dict[str, Any] = {}
    asked = spec.approvals
    if asked is not None:
        found["approver_groups"] = tuple(asked.groups) if asked.groups is not None else None
        found["approvers"] = tuple(dict.fromkeys(asked.people)) if asked.people is not None else None
        _must_be_possible(spec, f"{where}.approvals")
    if spec.soak is not None:
        found["soak_seconds"] = seconds(spec.soak, f"{where}.soak")
    if spec.windows is not None:
        found["windows"] = windows(spec.windows, f"{where}.windows")
    if spec.override_roles is not None:
        found["override_roles"] = tuple(spec.override_roles)
    if spec.requires is not None:
        found["requires"] = tuple(
            Requirement(
                component=rule.component,
                environment=rule.environment or "",
                release=rule.release or "",
                same_commit=bool(rule.same_commit),
            )
            for rule in spec.requires
        )
    if spec.external is not None:
        found["external"] = _externals(spec.external, f"{where}.external")
    return found


def windows(rules: WindowRules, field: str) -> tuple[Window, ...]:
    """The windows, allowing ones first.

    Raises:
        UserFailure: `UnknownTimeZone`, or `BadWindow`: one is empty, or together they never open.
    """
    name = rules.time_zone or "UTC"
    _zone(name, f"{field}.timeZone")
    made = tuple(
        _window(rule, allow, name, f"{field}.{'allow' if allow else 'deny'}.{index}")
        for allow, group in ((True, rules.allow), (False, rules.deny))
        for index, rule in enumerate(group or ())
    )
    if not made:
        raise UserFailure("BadWindow", f"{field}: name at least one window under allow or deny.")
    if not next_open(made, (), _SOME_MONDAY):
        raise UserFailure("BadWindow", f"{field}.deny: denies all of the time that is allowed; it never opens.")
    return made


def freezes(spec: PromotionPolicySpec, where: str, source: str) -> tuple[Freeze, ...]:
    """The freezes of a policy. Those of all matching policies count together.

    Raises:
        UserFailure: `BadFreeze`, `UnknownTimeZone`.
    """
    return tuple(
        _freeze(rule, f"{where}.freezes.{index}", source, rule.reason or "")
        for index, rule in enumerate(spec.freezes or ())
    )


def declared_freeze(declared: DeclaredFreeze) -> Freeze:
    """A Freeze object.

    Raises:
        UserFailure: `BadFreeze`, `UnknownTimeZone`.
    """
    spec, name = declared.spec, f"Freeze {declared.metadata.name}"
    reason = ", ".join(part for part in (spec.reason, f"by {spec.by}" if spec.by else "") if part)
    return _freeze(spec, f"{name}: spec", name, reason)


def lasting(found: Sequence[Freeze], now: float) -> tuple[Freeze, ...]:
    """Those that hold or will; what is over would only be carried along. `now` in seconds since the epoch."""
    return tuple(freeze for freeze in found if freeze.end > now)


def _must_be_possible(spec: PromotionPolicySpec, field: str) -> None:
    asked = spec.approvals
    assert asked is not None  # noqa: S101  (the caller has looked)
    people, required = asked.people, asked.required
    if people is not None and required is not None and not asked.roles and not asked.groups:
        there = len(set(people))
        if required > there > 0:
            raise UserFailure(
                "BadApprovals",
                f"{field}.required: {required} approvals, and only {there} named under people may give one.",
            )
    for name, text in (("expiresAfter", asked.expires_after), ("gateExpiresAfter", asked.gate_expires_after)):
        if text is not None and not seconds(text, f"{field}.{name}"):
            raise UserFailure("BadApprovals", f"{field}.{name}: must be longer than nothing.")
    if spec.soak is not None and asked.gate_expires_after is not None:
        soak, left = (
            seconds(spec.soak, "spec.soak"),
            seconds(asked.gate_expires_after, f"{field}.gateExpiresAfter"),
        )
        if soak >= left:
            raise UserFailure(
                "BadApprovals",
                f"{field}.gateExpiresAfter: the gate would close before the soak of {spec.soak} ends.",
            )


def _window(rule: WindowRule, allow: bool, zone_name: str, field: str) -> Window:
    start = _minutes(rule.start) if rule.start else 0
    end = _minutes(rule.to) if rule.to else DAY_MINUTES
    if start == DAY_MINUTES:
        raise UserFailure("BadWindow", f"{field}.from: 24:00 is where a day ends; write 00:00.")
    if start == end:
        raise UserFailure("BadWindow", f"{field}: from {rule.start} to {rule.to} is empty.")
    days = tuple(sorted({DAYS.index(day) for day in rule.days or ()}))
    return Window(allow=allow, days=days, start=start, end=end, zone=zone_name, reason=rule.reason or "")


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _freeze(rule: FreezeRule | Any, field: str, source: str, reason: str) -> Freeze:
    name = rule.time_zone or "UTC"
    _zone(name, f"{field}.timeZone")
    start, end = _moment(rule.start, name, f"{field}.from", min), _moment(rule.until, name, f"{field}.until", max)
    if end <= start:
        raise UserFailure("BadFreeze", f"{field}.until: {rule.until} does not come after {rule.start}.")
    if end - start > _FREEZE_LIMIT:
        raise UserFailure("BadFreeze", f"{field}.until: a freeze lasts two years at most.")
    return Freeze(start=start, end=end, zone=name, reason=reason, source=source)


def _moment(text: str, zone_name: str, field: str, choose: Any) -> float:
    """Seconds since the epoch. A time that clocks show twice, or never, is taken so that the freeze is longest."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise UserFailure("BadFreeze", f"{field}: there is no {text}.") from None
    if read.tzinfo is not None:
        return read.timestamp()
    local = read.replace(tzinfo=zone(zone_name))
    return float(choose(local.replace(fold=fold).timestamp() for fold in (0, 1)))


def _zone(name: str, field: str) -> None:
    try:
        zone(name)
    except UserFailure as failure:
        raise UserFailure(failure.reason, f"{field}: {failure.message}") from None


def _externals(rules: Sequence[ExternalRule], field: str) -> tuple[External, ...]:
    names = [rule.name for rule in rules]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise UserFailure("BadExternal", f"{field}.{index}.name: {name} is there twice.")
    return tuple(_external(rule, f"{field}.{index}") for index, rule in enumerate(rules))


def _external(rule: ExternalRule, field: str) -> External:
    if (rule.webhook is None) == (rule.job is None):
        raise UserFailure("BadExternal", f"{field}: name either a webhook or a job.")
    made: dict[str, Any] = {"name": rule.name}
    limits = {"timeout": (1, 60 if rule.webhook else 3600), "retryEvery": (10, 86_400)}
    limits |= {"timeLimit": (1, 30 * 86_400), "validFor": (60, 30 * 86_400)}
    fields = {"timeout": "timeout_seconds", "retryEvery": "retry_seconds"}
    fields |= {"timeLimit": "limit_seconds", "validFor": "lasts_seconds"}
    texts = (rule.timeout, rule.retry_every, rule.time_limit, rule.valid_for)
    for (name, (least, most)), text in zip(limits.items(), texts, strict=True):
        if text is None:
            continue
        found = seconds(text, f"{field}.{name}")
        if not least <= found <= most:
            raise UserFailure("BadExternal", f"{field}.{name}: from {least}s to {most}s.")
        made[fields[name]] = found
    if rule.webhook is not None:
        made["url"] = rule.webhook.url
        if rule.webhook.secret_ref is not None:
            made["secret"] = rule.webhook.secret_ref.name
            made["secret_key"] = rule.webhook.secret_ref.key or "token"
    else:
        assert rule.job is not None  # noqa: S101  (one of the two is there)
        if not rule.job.command and not rule.job.image:
            raise UserFailure("BadExternal", f"{field}.job: name a command, or an image that has one.")
        made.setdefault("timeout_seconds", 300.0)
        made["image"] = rule.job.image or ""
        made["command"] = tuple(rule.job.command or ())
    return External(**made)
