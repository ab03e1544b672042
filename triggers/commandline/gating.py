"""Gates: explain, revoke, override, freeze, unfreeze, freezes."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from model.forecast import Forecast
from model.gate import GateState
from triggers.commandline.application import Exit
from triggers.commandline.building import tell
from triggers.commandline.client import api_of
from triggers.commandline.output import (
    Environment,
    Format,
    Name,
    Output,
    Reason,
    columns,
    moment,
    printable,
    render,
    show,
)
from triggers.views import DryRun, Explanation, FreezeView

Namespace = Annotated[str, typer.Option("-n", "--namespace", help="Whose freezes.")]
OnlyEnvironment = Annotated[str, typer.Option("-e", "--environment", help="Only this one.")]
WhichRelease = Annotated[str, typer.Option("--release", help="Which, when several wait.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (explain, revoke, override, freeze, unfreeze, freezes):
        app.command()(command)


def explain(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Annotated[str, typer.Option("--release", help="Try this one when none waits.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Which rules stand before an environment, from which objects, and what is missing until when.

    Examples: towpath explain hello-world -e production; towpath explain web -e production -o json
    """
    found = api_of(context).explain(name, environment, release)
    show(render(found, output, lambda _wide: _explained(found)))


def revoke(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: WhichRelease = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Take your own answer at a gate back, as long as nothing has been applied.

    Examples: towpath revoke hello-world -e production --reason "staging looks wrong"
    """
    body = {"environment": environment, "release": release, "reason": reason}
    tell(api_of(context).steer(name, "revoke", body), output)


def override(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept, and told as an Event.")],
    release: WhichRelease = "",
    output: Output = Format.TABLE,
) -> None:
    """Go past the windows and freezes of an environment for the release that waits there.

    Examples: towpath override hello-world -e production --reason "fixes the outage"
    """
    body = {"environment": environment, "release": release, "reason": reason}
    tell(api_of(context).steer(name, "override", body), output)


def freeze(
    context: typer.Context,
    until: Annotated[
        str, typer.Option("--until", help="A date (its midnight) or time: 2027-01-02, 2027-01-02T08:00.")
    ],
    begins: Annotated[str, typer.Option("--from", help="A date or time; now without.")] = "",
    environment: OnlyEnvironment = "",
    project: Annotated[str, typer.Option("--project", help="Only this one.")] = "",
    component: Annotated[str, typer.Option("--component", help="Only this one.")] = "",
    time_zone: Annotated[str, typer.Option("--time-zone", help="Whose midnights, such as Europe/Berlin.")] = "UTC",
    namespace: Namespace = "default",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Let nothing into an environment (or all) for a while.

    Examples: towpath freeze -e production --from 2026-12-24 --until 2027-01-02 --reason holidays
    """
    body = {
        "begins": begins or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ends": until,
        "time_zone": time_zone,
        "reason": reason,
        "environment": environment,
        "project": project,
        "component": component,
    }
    tell(api_of(context).freeze(namespace, body), output)


def unfreeze(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="FREEZE", help="Its name, as `towpath freezes` shows it.")],
    namespace: Namespace = "default",
    output: Output = Format.TABLE,
) -> None:
    """Lift a freeze.

    Examples: towpath unfreeze freeze-production-1a2b3c4d
    """
    tell(api_of(context).unfreeze(namespace, name), output)


def freezes(context: typer.Context, namespace: Namespace = "default", output: Output = Format.TABLE) -> None:
    """List freezes.

    Examples: towpath freezes; towpath freezes -n shop -o yaml
    """
    found = api_of(context).freezes(namespace)
    show(render(found, output, lambda _wide: _freezes(found)))


def forecasts(found: DryRun) -> str:
    """The table of `towpath promote --dry-run`."""
    rows = [[step.environment, step.outcome, step.reason, step.message] for step in found.steps]
    lines = [
        f"{found.release} (nothing was started)",
        "",
        columns(["ENVIRONMENT", "OUTCOME", "REASON", "WHY"], rows),
    ]
    for step in found.steps:
        if step.gate is not None and step.gate.requirements:
            lines += ["", f"gate of {step.environment}:", _requirements(step.gate)]
    return "\n".join(lines)


def exit_of(steps: tuple[Forecast, ...]) -> Exit:
    """0 when it would get everywhere by itself, 3 when it would wait, 1 when it would be turned away."""
    outcomes = {step.outcome for step in steps}
    if outcomes & {"refused", "superseded"}:
        return Exit.FAILED
    waits = any(step.gate is not None and not step.gate.open for step in steps) or "held" in outcomes
    return Exit.WAITING if waits else Exit.DONE


def _explained(found: Explanation) -> str:
    rules = [[rule.rule, rule.value, rule.source] for rule in found.rules]
    after = f", after {', '.join(found.sources)}" if found.sources else ""
    lines = [
        f"{found.component} in {found.environment} (pipeline {found.pipeline}{after})",
        "",
        columns(["RULE", "VALUE", "FROM"], rules),
    ]
    for one in found.releases:
        how = "waits" if one.waiting else "is there or on its way" if one.promotion else "would, now"
        lines += ["", f"{one.release} {how}: {printable(one.message, 600)}"]
        if one.gate is not None and one.gate.requirements:
            lines.append(_requirements(one.gate))
    if not found.releases:
        lines += ["", "There is no release yet."]
    return "\n".join(lines)


def _requirements(gate: GateState) -> str:
    rows = [
        [
            "met" if each.met else "missing",
            f"{each.kind} {each.name}".strip(),
            each.reason,
            moment(each.until),
            each.source,
            each.message,
        ]
        for each in gate.requirements
    ]
    return columns(["", "RULE", "REASON", "UNTIL", "FROM", "WHY"], rows)


def _freezes(found: list[FreezeView]) -> str:
    rows = []
    for one in found:
        what = " ".join(part for part in (one.environment, one.project, one.component) if part) or "everything"
        rows.append([one.name, what, one.begins, one.ends, one.time_zone, one.by, one.reason])
    return columns(["NAME", "FOR", "FROM", "UNTIL", "ZONE", "BY", "REASON"], rows)
