"""Moving: promote, approve, reject, deploy, rollback, hold, resume."""

from collections.abc import Mapping
from typing import Annotated

import typer

from model.key import ComponentKey
from model.lane import Revision
from triggers.commandline.application import Exit, Trouble
from triggers.commandline.building import tell
from triggers.commandline.client import Api, api_of
from triggers.commandline.gating import exit_of, forecasts
from triggers.commandline.looking import EXITS
from triggers.commandline.output import Environment, Format, Name, Output, Reason, printable, render, show
from triggers.progress import of_promotion
from triggers.views import Progress

ReleaseName = Annotated[str, typer.Option("--release", help="A release's name, digest or commit.")]
AllowOlder = Annotated[bool, typer.Option("--allow-older", help="Also below what is good there now.")]
Wait = Annotated[bool, typer.Option("--wait", help="Until it is done (0), has failed (1), waits at a gate (3).")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (promote, approve, reject, deploy, rollback, hold, resume):
        app.command()(command)


def promote(
    context: typer.Context,
    name: Name,
    environment: Annotated[str, typer.Option("-e", "--environment", help="Up to here; all without.")] = "",
    release: ReleaseName = "",
    pin: Annotated[bool, typer.Option("--pin", help="Newer releases do not supersede it.")] = False,
    allow_older: AllowOlder = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen now.")] = False,
    wait: Wait = False,
    timeout: Timeout = 900,
    output: Output = Format.TABLE,
) -> None:
    """Send a release (the newest without --release) through the pipeline, gates included.

    Examples: towpath promote hello-world -e production --wait; towpath promote hello-world --release 3f2a9c1;
    towpath promote hello-world --dry-run
    """
    api = api_of(context)
    if dry_run:
        found = api.dry_run(name, release, environment)
        show(render(found, output, lambda _wide: forecasts(found)))
        raise typer.Exit(exit_of(found.steps))
    body = {"release": release, "until": environment, "pinned": pin, "allow_older": allow_older}
    accepted = api.steer(name, "promotions", body)
    tell(accepted, output)
    if wait:
        raise typer.Exit(_promoted(api, name, accepted.workflow.rpartition("/")[2], environment, timeout))


def approve(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Annotated[str, typer.Option("--release", help="Which, when several wait.")] = "",
    digest: Annotated[str, typer.Option("--digest", help="Only if it is this image.")] = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Say yes to the release that waits at an environment's gate.

    Examples: towpath approve hello-world -e production --reason "looked at staging"
    """
    body = {"environment": environment, "release": release, "digest": digest, "reason": reason}
    tell(api_of(context).steer(name, "approve", body), output)


def reject(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Annotated[str, typer.Option("--release", help="Which, when several wait.")] = "",
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Say no to the release that waits at an environment's gate.

    Examples: towpath reject hello-world -e production --reason "breaks the invoices"
    """
    body = {"environment": environment, "release": release, "reason": reason}
    tell(api_of(context).steer(name, "reject", body), output)


def deploy(
    context: typer.Context,
    name: Name,
    environment: Environment,
    release: Annotated[str, typer.Option("--release", help="A release's name, digest or commit.")],
    allow_older: AllowOlder = False,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 900,
    output: Output = Format.TABLE,
) -> None:
    """Run a release in an environment at once, where no gate asks for approval.

    Examples: towpath deploy hello-world -e development --release 3f2a9c1 --wait
    """
    body = {"release": release, "reason": reason, "allow_older": allow_older}
    give_order(api_of(context), name, environment, "deploy", body, wait, timeout, output)


def rollback(
    context: typer.Context,
    name: Name,
    environment: Environment,
    to_revision: Annotated[
        int,
        typer.Option("--to-revision", min=0, help="A revision of `towpath history`; the last good one without."),
    ] = 0,
    reason: Reason = "",
    wait: Wait = False,
    timeout: Timeout = 900,
    output: Output = Format.TABLE,
) -> None:
    """Go back to an earlier revision; automation leaves it there until `towpath resume`.

    Examples: towpath rollback hello-world -e production; towpath rollback web -e production --to-revision 1
    """
    body = {"revision": to_revision, "reason": reason}
    give_order(api_of(context), name, environment, "rollback", body, wait, timeout, output)


def hold(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Stop automation in an environment.

    Examples: towpath hold hello-world -e production --reason "inventory until noon"
    """
    tell(api_of(context).steer(name, f"lanes/{environment}/hold", {"reason": reason}), output)


def resume(
    context: typer.Context,
    name: Name,
    environment: Environment,
    reason: Reason = "",
    output: Output = Format.TABLE,
) -> None:
    """Let automation go on in an environment.

    Examples: towpath resume hello-world -e production
    """
    tell(api_of(context).steer(name, f"lanes/{environment}/resume", {"reason": reason}), output)


def _promoted(api: Api, name: ComponentKey, release: str, until: str, timeout: float) -> Exit:
    def look() -> Progress:
        return of_promotion(name, api.promotion(name, release), until)

    def why_not(seen: Progress) -> str:
        return printable(seen.message) if seen.state == "moving" else ""

    found = api.wait_for(look, why_not, timeout)
    show(f"{found.state}: {printable(found.message)}")
    if found.next:
        show(f"next: {found.next}")
    return EXITS[found.state]


def give_order(
    api: Api,
    name: ComponentKey,
    environment: str,
    kind: str,
    body: Mapping[str, object],
    wait: bool,
    timeout: float,
    output: Format,
    revision_kind: str = "",
) -> None:
    """Give a lane an order and, to `wait`, see the revision of `revision_kind` (without: `kind`) through."""
    before = max((entry.number for entry in api.history(name, environment)), default=0)
    tell(api.steer(name, f"lanes/{environment}/{kind}", body), output)
    if not wait:
        return

    def look() -> Revision | None:
        newer = (entry for entry in api.history(name, environment) if entry.number > before)
        return next(
            (entry for entry in newer if entry.kind == (revision_kind or kind) and entry.actor.kind == "person"),
            None,
        )

    def why_not(seen: Revision | None) -> str:
        if seen is None:
            return f"{environment}: the lane has not come to it."
        return f"{environment}: revision {seen.number} is deploying." if seen.result == "deploying" else ""

    ended = api.wait_for(look, why_not, timeout)
    assert ended is not None  # noqa: S101  (why_not has seen to it)
    show(f"revision {ended.number}: {ended.result}: {ended.release.name}")
    if ended.result != "healthy":
        verdict = ended.verdict
        why = f"{verdict.reason}: {printable(verdict.message)}" if verdict else ended.result
        raise Trouble(f"{environment}: {ended.result}.", why)
