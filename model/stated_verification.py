"""The verification that a PromotionPolicy states, as rules of a step."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from model.check import Baseline, GrpcCheck, HttpCheck, JobCheck, Limits, QueryCheck, Tls
from model.duration import seconds
from model.failure import UserFailure
from model.resources.verification import (
    GrpcVerification,
    HttpVerification,
    JobVerification,
    PrometheusVerification,
    Sampled,
    TlsVerification,
    VerificationRules,
)

DEADLINE_LIMIT = 3600.0
WATCH_LIMIT = 30 * 86_400.0
WATCH_INTERVAL_LEAST = 1.0
_SECONDS = {"timeout": "timeout_seconds", "interval": "interval_seconds", "initial_delay": "initial_delay_seconds"}


def verification(rules: VerificationRules | None, field: str) -> dict[str, Any]:
    """The rules under `StepPolicy`'s names, None where nothing is stated; `field` is where they stand.

    Raises:
        UserFailure: `BadDuration`, `NothingStated`, `NameTwice`, `BadLimit` or `NeverEnds`, naming the field.
    """
    if rules is None:
        return {}
    for kind, named in (("jobs", rules.jobs), ("prometheus", rules.prometheus)):
        _named_once(named or [], f"{field}.{kind}")
    stated: dict[str, Any] = {
        "checks": _each(rules.http, f"{field}.http", _http),
        "grpc": _each(rules.grpc, f"{field}.grpc", _grpc),
        "jobs": _each(rules.jobs, f"{field}.jobs", _job),
        "queries": _each(rules.prometheus, f"{field}.prometheus", _query),
        "verification_seconds": _within(rules.deadline, f"{field}.deadline", 1, DEADLINE_LIMIT),
        "on_inconclusive": rules.on_inconclusive,
        "watch_seconds": _within(rules.watch_for, f"{field}.watchFor", 0, WATCH_LIMIT),
        "watch_interval_seconds": _within(
            rules.watch_interval, f"{field}.watchInterval", WATCH_INTERVAL_LEAST, WATCH_LIMIT
        ),
    }
    for kind in ("checks", "grpc", "queries"):
        for check in stated[kind] or ():
            _must_end(check, stated["verification_seconds"], f"{field}.deadline")
    return stated


def _each(found: Sequence[Any] | None, field: str, convert: Any) -> tuple[Any, ...] | None:
    if found is None:
        return None
    return tuple(convert(check, f"{field}.{index}") for index, check in enumerate(found))


def _http(check: HttpVerification, field: str) -> HttpCheck:
    more = {"endpoint": check.endpoint, "path": check.path, "tls": _tls(check.tls)}
    return HttpCheck.model_validate(_limits(check, field) | _present(more))


def _grpc(check: GrpcVerification, field: str) -> GrpcCheck:
    more = {"endpoint": check.endpoint, "service": check.service, "tls": _tls(check.tls)}
    return GrpcCheck.model_validate(_limits(check, field) | _present(more))


def _job(check: JobVerification, field: str) -> JobCheck:
    if not check.command and not check.image:
        raise UserFailure("NothingStated", f"{field}: name a command to run in the release's image, or an image.")
    more = {
        "name": check.name,
        "command": tuple(check.command) if check.command else None,
        "image": check.image,
        "timeout_seconds": _within(check.timeout, f"{field}.timeout", 1, DEADLINE_LIMIT),
    }
    return JobCheck.model_validate(_present(more))


def _query(check: PrometheusVerification, field: str) -> QueryCheck:
    if check.max is None and check.min is None and check.baseline is None:
        raise UserFailure("NothingStated", f"{field}: state max, min or baseline: without one nothing could fail.")
    if check.max is not None and check.min is not None and check.max < check.min:
        raise UserFailure("BadLimit", f"{field}.max: nothing is at most {check.max:g} and at least {check.min:g}.")
    baseline = None
    if check.baseline is not None:
        if check.baseline.max_ratio is None and check.baseline.min_ratio is None:
            raise UserFailure("NothingStated", f"{field}.baseline: state maxRatio or minRatio.")
        baseline = Baseline.model_validate(_present(check.baseline.model_dump()))
    more = {
        "name": check.name,
        "query": check.query,
        "server": check.server,
        "max": check.max,
        "min": check.min,
        "baseline": baseline,
    }
    return QueryCheck.model_validate(_limits(check, field) | _present(more))


def _tls(stated: TlsVerification | None) -> Tls | None:
    return None if stated is None else Tls.model_validate(_present(stated.model_dump()))


def _limits(check: Sampled, field: str) -> dict[str, Any]:
    stated: dict[str, Any] = {
        "samples": check.samples,
        "failure_limit": check.failure_limit,
        "error_limit": check.error_limit,
    }
    for name, to in _SECONDS.items():
        stated[to] = _within(getattr(check, name), f"{field}.{_camel(name)}", 0, DEADLINE_LIMIT)
    return _present(stated)


def _must_end(check: Limits, deadline: float | None, field: str) -> None:
    least = check.initial_delay_seconds + (check.samples - 1) * check.interval_seconds
    if deadline is not None and least >= deadline:
        raise UserFailure(
            "NeverEnds",
            f"{field}: {check.samples} samples every {check.interval_seconds:g} s take {least:g} s at least, and "
            f"the deadline is after {deadline:g} s: nothing could ever pass.",
        )


def _named_once(checks: Sequence[JobVerification | PrometheusVerification], field: str) -> None:
    for name, number in Counter(check.name for check in checks).items():
        if number > 1:
            raise UserFailure(
                "NameTwice", f"{field}: {name} is there {number} times; give each a name of its own."
            )


def _within(text: str | None, field: str, least: float, most: float) -> float | None:
    if text is None:
        return None
    found = seconds(text, field)
    if not least <= found <= most:
        raise UserFailure("BadLimit", f"{field}: it must be between {least:g} s and {most:g} s.")
    return found


def _camel(name: str) -> str:
    return "initialDelay" if name == "initial_delay" else name


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
