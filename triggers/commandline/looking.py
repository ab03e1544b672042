"""Looking: get, status, releases, history."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from model.key import ComponentKey
from triggers.commandline.application import Exit
from triggers.commandline.client import Api, api_of
from triggers.commandline.output import (
    Environment,
    Format,
    Name,
    Output,
    age,
    columns,
    keep_showing,
    moment,
    printable,
    read_key,
    render,
    show,
)
from triggers.commandline.picture import detail, picture
from triggers.views import ComponentDetail, ComponentView, LaneView, ReleaseView

OptionalName = Annotated[
    ComponentKey | None,
    typer.Argument(parser=read_key, metavar="NAME", help="NAME or NAMESPACE/NAME; all without"),
]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="Only this namespace.")]
Watch = Annotated[bool, typer.Option("-w", "--watch", help="Keep showing it.")]
EXITS = {"done": Exit.DONE, "idle": Exit.DONE, "failed": Exit.FAILED, "waiting": Exit.WAITING}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (get, status, releases, history):
        app.command()(command)


def get(
    context: typer.Context,
    name: OptionalName = None,
    namespace: Namespace = "",
    watch: Watch = False,
    output: Output = Format.TABLE,
) -> None:
    """List components, or show one.

    Examples: towpath get; towpath get hello-world -o yaml
    """
    api = api_of(context)

    def make() -> str:
        if name:
            one = api.component(name)
            return render(one, output, lambda wide: _components([one], wide))
        found = api.components(namespace)
        return render(found, output, lambda wide: _components(found, wide))

    _show(make, watch, api)


def status(
    context: typer.Context,
    name: OptionalName = None,
    namespace: Namespace = "",
    watch: Watch = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until done (0), failed (1) or at a gate (3).")] = False,
    commit: Annotated[str, typer.Option("--commit", help="With --wait: of this commit (a prefix will do).")] = "",
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 900,
    output: Output = Format.TABLE,
) -> None:
    """The picture of components and environments, and why something waits.

    Examples: towpath status --watch; towpath status hello-world --wait --commit "$(git rev-parse HEAD)"
    """
    api = api_of(context)
    if wait:
        if name is None:
            raise typer.BadParameter("--wait needs a NAME")
        found = _settled(api, name, commit, timeout)
        show(render(found, output, lambda wide: detail(found, wide)))
        raise typer.Exit(EXITS[found.progress.state])

    def make() -> str:
        if name:
            one = api.component(name, commit)
            return render(one, output, lambda wide: detail(one, wide))
        every = api.components(namespace)
        return render(every, output, lambda wide: picture(every, wide))

    _show(make, watch, api)


def releases(context: typer.Context, name: Name, output: Output = Format.TABLE) -> None:
    """List a component's releases, newest first.

    Examples: towpath releases hello-world; towpath releases hello-world -o wide
    """
    api = api_of(context)
    found = api.releases(name)
    show(render(found, output, lambda wide: _releases(found, wide, api.clock())))


def history(context: typer.Context, name: Name, environment: Environment, output: Output = Format.TABLE) -> None:
    """What ran in an environment, by revision: who or what wanted it, why, and how it went.

    Examples: towpath history hello-world -e production; towpath history hello-world -e production -o wide
    """
    lane = api_of(context).lane(name, environment)
    show(render(lane.history, output, lambda wide: _history(lane, wide)))


def _show(make: Callable[[], str], watch: bool, api: Api) -> None:
    if watch:
        keep_showing(make, api.pause)
    show(make())


def _settled(api: Api, name: ComponentKey, commit: str, timeout: float) -> ComponentDetail:
    def why_not(found: ComponentDetail) -> str:
        return printable(found.progress.message) if found.progress.state == "moving" else ""

    return api.wait_for(lambda: api.component(name, commit), why_not, timeout)


def _components(found: Sequence[ComponentView], wide: bool) -> str:
    header = ["NAMESPACE", "NAME", "STAGE", "READY", "RELEASE", "ENVIRONMENTS"]
    header += ["REPOSITORY", "BRANCH", "IMAGE"] if wide else []
    rows = []
    for view in found:
        environments = ",".join(f"{note.name}={note.health}" for note in view.environments)
        ready = "" if view.ready is None else str(view.ready)
        row = [view.namespace, view.name, view.problem or view.stage, ready, view.release, environments]
        rows.append([*row, *([view.repository, view.branch, view.image] if wide else [])])
    return columns(header, rows)


def _releases(found: list[ReleaseView], wide: bool, now: float) -> str:
    header = ["NAME", "COMMIT", "AUTHOR", "AGE", "MARK", "SUBJECT", *(["IMAGE", "BUILD", "WHY"] if wide else [])]
    rows = []
    for release in found:
        commit = release.commit
        mark = release.mark.word if release.mark else ""
        row = [release.name, commit.id[:7], commit.author, age(release.sequence / 1000, now), mark]
        row += [commit.subject[:60]]
        why = f"{release.mark.by}: {release.mark.reason}" if release.mark else ""
        rows.append([*row, *([release.image.reference, release.build, why] if wide else [])])
    return columns(header, rows)


def _history(lane: LaneView, wide: bool) -> str:
    header = ["REVISION", "RELEASE", "COMMIT", "KIND", "BY", "RESULT", "WHEN", "WHY"]
    rows = []
    for entry in lane.history:
        verdict, release = entry.verdict, entry.release
        kind = f"{entry.kind} to {entry.restored}" if entry.restored else entry.kind
        result = f"{entry.result} (accepted by {entry.accepted_by})" if entry.accepted_by else entry.result
        row = [str(entry.number), release.name, release.commit.id[:7], kind, entry.actor.name, result]
        row += [moment(entry.started_at)]
        if wide:
            told = f"{verdict.reason}: {verdict.message}" if verdict else ""
            row += [entry.reason, moment(entry.finished_at), told, release.image.reference]
        else:
            why = f"{verdict.reason}: {verdict.message}" if verdict and not verdict.passed else entry.reason
            row += [why[:80]]
        rows.append(row)
    text = columns([*header, *(["FINISHED", "VERDICT", "IMAGE"] if wide else [])], rows)
    return f"{text}\nRevisions up to {lane.forgotten} are no longer kept." if lane.forgotten else text
