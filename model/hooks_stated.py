"""What a PromotionPolicy's hooks come to."""

from typing import Any

from model.duration import seconds
from model.failure import UserFailure
from model.hook import Hook
from model.job import DEADLINE_LIMIT
from model.resources.hooks import HookJob, Hooks, HookVariable
from model.workload import Variable


def stated(hooks: Hooks | None, where: str) -> dict[str, Any]:
    """The rules `hooks_before` and `hooks_after` under `StepPolicy`'s names; `where` is the field.

    Raises:
        UserFailure: `InvalidManifest` or `BadDuration`; the message names the field.
    """
    if hooks is None:
        return {}
    lists = {"before": hooks.before, "after": hooks.after}
    found = {
        f"hooks_{when}": tuple(_hook(job, f"{where}.{when}.{index}") for index, job in enumerate(jobs))
        for when, jobs in lists.items()
        if jobs is not None
    }
    for rule, made in found.items():
        taken = [hook.name for hook in made]
        twice = sorted({name for name in taken if taken.count(name) > 1})
        if twice:
            when = rule.removeprefix("hooks_")
            raise UserFailure(
                "InvalidManifest", f"{where}.{when}: {twice[0]!r} is named twice; names tell hooks apart"
            )
    return found


def _hook(job: HookJob, where: str) -> Hook:
    if not job.command and not job.image:
        raise UserFailure("InvalidManifest", f"{where}.command: name a command, or an image that has one")
    made: dict[str, Any] = {
        "name": job.name,
        "command": tuple(job.command or ()),
        "image": job.image or "",
        "variables": tuple(
            _variable(variable, f"{where}.env.{index}") for index, variable in enumerate(job.env or ())
        ),
        "retries": job.retries or 0,
        "compensation": tuple(job.compensation or ()),
    }
    if job.deadline is not None:
        made["deadline_seconds"] = seconds(job.deadline, f"{where}.deadline")
        if not 1 <= made["deadline_seconds"] <= DEADLINE_LIMIT:
            raise UserFailure("InvalidManifest", f"{where}.deadline: must be from 1s to {DEADLINE_LIMIT // 3600}h")
    return Hook(**made)


def _variable(variable: HookVariable, where: str) -> Variable:
    if (variable.value is None) == (variable.value_from is None):
        raise UserFailure("InvalidManifest", f"{where}: give {variable.name} either a value or a valueFrom")
    if variable.value_from is not None:
        reference = variable.value_from.secret_key_ref
        return Variable(name=variable.name, secret=reference.name, key=reference.key)
    return Variable(name=variable.name, value=variable.value or "")
