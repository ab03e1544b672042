"""Release sets: promote-set, rollback-set, and `towpath set` to look, approve, reject and cancel."""

from typing import Annotated

import typer

from triggers.commandline.application import Exit, Trouble
from triggers.commandline.building import tell
from triggers.commandline.client import Api, api_of
from triggers.commandline.output import (
    Environment,
    Format,
    Output,
    Reason,
    age,
    columns,
    printable,
    read_key,
    render,
    show,
)
from triggers.setviews import SetView

Project = Annotated[str, typer.Argument(metavar="PROJECT", help="PROJECT or NAMESPACE/PROJECT")]
SetName = Annotated[str, typer.Argument(metavar="SET", help="The set's name, as `towpath set list` shows it.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it is done (0), has failed (1), waits at a gate (3).")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]

sets = typer.Typer(no_args_is_help=True, help="Release sets: what goes in together and goes back together.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("promote-set")(promote_set)
    app.command("rollback-set")(rollback_set)
    for name, command in (
        ("list", list_sets),
        ("status", status_set),
        ("approve", approve_set),
        ("reject", reject_set),
        ("cancel", cancel_set),
    ):
        sets.command(name)(command)
    app.add_typer(sets, name="set")


def promote_set(
    context: typer.Context,
    project: Project,
    environment: Annotated[str, typer.Option("-e", "--environment", metavar="ENV", help="Up to here.")],
    component: Annotated[
        list[str] | None,
        typer.Option("--component", metavar="NAME[=RELEASE]", help="Only these; the newest release without one."),
    ] = None,
    order: Annotated[str, typer.Option("--order", help="a,b,c: wins over the components' dependencies.")] = "",
    name: Annotated[str, typer.Option("--name", help="What the set is called.")] = "",
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Also releases older than the good ones.")
    ] = False,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 1800,
    output: Output = Format.TABLE,
) -> None:
    """Send several components' releases through the pipeline together: all of them or none.

    Examples: towpath promote-set shop -e production --wait; towpath promote-set shop --component api
    --component web=web-3f2a9c1-0d1e2f3a -e staging
    """
    body = {
        "until": environment,
        "releases": dict(_member(each) for each in component or ()),
        "order": [part for part in order.split(",") if part],
        "name": name,
        "reason": reason,
        "allow_older": allow_older,
    }
    api = api_of(context)
    accepted = api.steer_set(_project(project), "", body)
    tell(accepted, output)
    if wait:
        raise typer.Exit(_ended(api, _project(project), accepted.workflow.rpartition("/")[2], timeout))


def rollback_set(
    context: typer.Context,
    project: Project,
    name: SetName,
    environment: Environment,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 1800,
    output: Output = Format.TABLE,
) -> None:
    """Take back what a finished set changed in an environment, in reverse order.

    What another release has replaced since stays as it is.

    Examples: towpath rollback-set shop spring -e production --reason "carts are empty"
    """
    api = api_of(context)
    tell(
        api.steer_set(_project(project), f"/{name}/rollback", {"environment": environment, "reason": reason}),
        output,
    )
    if wait:
        raise typer.Exit(_went_back(api, _project(project), name, environment, timeout))


def list_sets(context: typer.Context, project: Project, output: Output = Format.TABLE) -> None:
    """The project's sets, newest first.

    Examples: towpath set list shop
    """
    api = api_of(context)
    found = api.sets(_project(project))

    def lines(_: bool) -> str:
        rows = [
            (one.name, str(_size(one)), one.until, _stage(one), one.actor.name, age(one.started_at, api.clock()))
            for one in found
        ]
        return columns(("SET", "COMPONENTS", "UNTIL", "STAGE", "BY", "AGE"), rows)

    show(render(found, output, lines))


def status_set(context: typer.Context, project: Project, name: SetName, output: Output = Format.TABLE) -> None:
    """One set: every environment and every component of it.

    Examples: towpath set status shop spring
    """
    found = api_of(context).set(_project(project), name)
    show(render(found, output, lambda _: picture(found)))


def approve_set(
    context: typer.Context,
    project: Project,
    name: SetName,
    environment: Environment,
    digest: Annotated[str, typer.Option("--digest", help="Only if the set is this one.")] = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Say yes to a set that waits at an environment's gate: to all of it.

    Examples: towpath set approve shop spring -e production
    """
    body = {"environment": environment, "digest": digest, "reason": reason}
    tell(api_of(context).steer_set(_project(project), f"/{name}/approve", body), output)


def reject_set(
    context: typer.Context,
    project: Project,
    name: SetName,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Say no to a set that waits at an environment's gate.

    Examples: towpath set reject shop spring -e production --reason "not before Monday"
    """
    body = {"environment": environment, "reason": reason}
    tell(api_of(context).steer_set(_project(project), f"/{name}/reject", body), output)


def cancel_set(
    context: typer.Context, project: Project, name: SetName, reason: Reason = "", output: Output = Format.TABLE
) -> None:
    """Stop a set; what it has changed in the environment under way goes back.

    Examples: towpath set cancel shop spring --reason "wrong day"
    """
    tell(api_of(context).steer_set(_project(project), f"/{name}/cancel", {"reason": reason}), output)


def picture(found: SetView) -> str:
    """A set for people: a block for each environment, a line for each component."""
    lines = [f"set {found.name} of {found.project}: {_stage(found)}"]
    if found.message or found.problem:
        lines.append(f"  {printable(found.message or found.problem, 1000)}")
    for environment in found.environments:
        why = f": {printable(environment.message)}" if environment.message else ""
        lines += ["", f"{environment.environment}: {environment.phase}{why}"]
        rows: list[tuple[str, ...]] = [
            (member.component, member.release, member.phase, f"{member.reason}: {member.message}".strip(": "))
            for member in environment.members.values()
        ]
        lines.append(columns(("COMPONENT", "RELEASE", "STAGE", "WHY"), rows))
    for back in found.rollbacks:
        lines += ["", f"rolled back in {back.environment} by {back.actor.name}: {back.outcome or 'under way'}"]
        rows = [(member.component, str(member.phase), printable(member.message)) for member in back.members]
        lines.append(columns(("COMPONENT", "STAGE", "WHY"), rows))
    return "\n".join(lines)


def _ended(api: Api, project: tuple[str, str], name: str, timeout: float) -> Exit:
    def why_not(seen: SetView) -> str:
        waits = any(one.phase == "at-gate" for one in seen.environments)
        return "" if seen.outcome or waits else f"set {name}: {_stage(seen)}"

    found = api.wait_for(lambda: api.set(project, name), why_not, timeout)
    if not found.outcome:
        at = next(one for one in found.environments if one.phase == "at-gate")
        show(f"waiting: {at.environment}: {printable(at.message)}")
        show(f"next: towpath set approve {'/'.join(project)} {name} -e {at.environment}")
        return Exit.WAITING
    show(f"{found.outcome}: {printable(found.message, 1000)}")
    return Exit.DONE if found.outcome == "Arrived" else Exit.FAILED


def _went_back(api: Api, project: tuple[str, str], name: str, environment: str, timeout: float) -> Exit:
    def look() -> str:
        backs = (one for one in api.set(project, name).rollbacks if one.environment == environment)
        return next((f"{one.outcome}: {one.message}" for one in backs if one.outcome and not one.open), "")

    ended = api.wait_for(look, lambda seen: "" if seen else f"set {name} goes back in {environment}", timeout)
    show(printable(ended, 1000))
    return Exit.DONE if ended.startswith("RolledBack") else Exit.FAILED


def _stage(one: SetView) -> str:
    if one.outcome or one.problem:
        return one.outcome or "unknown"
    moving = [f"{at.environment}: {at.phase}" for at in one.environments if at.phase not in ("pending", "healthy")]
    return moving[0] if moving else "promoting"


def _size(one: SetView) -> int:
    return max((len(at.members) for at in one.environments), default=0)


def _project(text: str) -> tuple[str, str]:
    key = read_key(text)
    return key.namespace, key.name


def _member(text: str) -> tuple[str, str]:
    name, _, release = text.partition("=")
    if not name:
        raise Trouble(f"{text!r} names no component.", "Write --component NAME or NAME=RELEASE.", Exit.USAGE)
    return name, release
