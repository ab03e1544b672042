"""A policy's `spec.strategy` as the engine's own `Strategy`."""

import re

from model.duration import seconds
from model.failure import UserFailure
from model.resources.strategy import CanaryRule, CanaryRules, Share, StrategyRules
from model.strategy import STEPS_LIMIT, CanaryStep, Strategy

_SHARE = re.compile(r"[0-9]{1,3}%?")
_DELAY_LIMIT = 86_400


def strategy(rules: StrategyRules, field: str) -> Strategy:
    """The strategy; `field` is named where something in it cannot be.

    Raises:
        UserFailure: `BadStrategy`, `BadDuration`.
    """
    stated = [found for found in (rules.rolling, rules.blue_green, rules.canary) if found is not None]
    if len(stated) != 1:
        raise UserFailure("BadStrategy", f"{field}: name one of rolling, blueGreen and canary.")
    if rules.canary is not None:
        return _canary(rules.canary, f"{field}.canary")
    if rules.blue_green is not None:
        chosen = rules.blue_green
        delay = chosen.scale_down_delay
        waits = 30.0 if delay is None else seconds(delay, f"{field}.blueGreen.scaleDownDelay")
        if waits > _DELAY_LIMIT:
            raise UserFailure("BadStrategy", f"{field}.blueGreen.scaleDownDelay: at most a day.")
        return Strategy(
            kind="blueGreen", person=chosen.auto_promote is False, scale_down_delay_seconds=round(waits)
        )
    assert rules.rolling is not None  # noqa: S101  (one of the three is)
    surge, unavailable = _shares(rules.rolling.max_surge, rules.rolling.max_unavailable, f"{field}.rolling")
    return Strategy(kind="rolling", max_surge=surge, max_unavailable=unavailable)


def _canary(rules: CanaryRules, field: str) -> Strategy:
    surge, unavailable = _shares(rules.max_surge, rules.max_unavailable, field)
    return Strategy(
        kind="canary",
        steps=_steps(rules.steps, f"{field}.steps"),
        max_surge=surge,
        max_unavailable=unavailable,
        http_route=rules.http_route or "",
    )


def _steps(rules: list[CanaryRule], field: str) -> tuple[CanaryStep, ...]:
    """Every weight with the pauses behind it: their durations add up, and one without waits for a person."""
    steps: list[CanaryStep] = []
    for index, rule in enumerate(rules):
        where = f"{field}.{index}"
        if (rule.set_weight is None) == (rule.pause is None):
            raise UserFailure("BadStrategy", f"{where}: a step has either setWeight or pause.")
        if rule.set_weight is not None:
            if steps and rule.set_weight <= steps[-1].weight:
                raise UserFailure(
                    "BadStrategy",
                    f"{where}.setWeight: {rule.set_weight} must be above {steps[-1].weight}, the weight before.",
                )
            steps.append(CanaryStep(weight=rule.set_weight))
            continue
        if not steps:
            raise UserFailure("BadStrategy", f"{where}: the first step sets a weight.")
        assert rule.pause is not None  # noqa: S101  (either of the two is there)
        duration, last = rule.pause.duration, steps[-1]
        longer = 0.0 if duration is None else seconds(duration, f"{where}.pause.duration")
        steps[-1] = last.model_copy(
            update={"pause_seconds": last.pause_seconds + longer, "person": last.person or duration is None}
        )
    if not steps:
        raise UserFailure("BadStrategy", f"{field}: name at least one step.")
    if len(steps) > STEPS_LIMIT:
        raise UserFailure("BadStrategy", f"{field}: at most {STEPS_LIMIT} weights.")
    return tuple(steps)


def _shares(surge: Share | None, unavailable: Share | None, field: str) -> tuple[str, str]:
    chosen = {"maxSurge": "1" if surge is None else str(surge)}
    chosen["maxUnavailable"] = "0" if unavailable is None else str(unavailable)
    for name, text in chosen.items():
        if not _SHARE.fullmatch(text) or (text.endswith("%") and int(text[:-1]) > 100):
            raise UserFailure("BadStrategy", f"{field}.{name}: write a number such as 1, or a percentage to 100%.")
    if all(int(text.rstrip("%")) == 0 for text in chosen.values()):
        raise UserFailure("BadStrategy", f"{field}: maxSurge and maxUnavailable cannot both be 0.")
    return chosen["maxSurge"], chosen["maxUnavailable"]
