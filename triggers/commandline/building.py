"""Building: trigger, builds, logs, cancel, retry."""

import codecs
import re
import sys
import uuid
from typing import Annotated

import typer

from model.key import ComponentKey
from triggers.commandline.application import Trouble
from triggers.commandline.client import Api, api_of
from triggers.commandline.following import Timeline, follow
from triggers.commandline.looking import EXITS
from triggers.commandline.output import Format, Name, Output, age, columns, keep_showing, printable, render, show
from triggers.commandline.picture import detail
from triggers.views import Accepted, BuildView

BuildName = Annotated[
    str,
    typer.Option(
        "--build", metavar="COMMIT[/N]", help="Which build; a commit's prefix will do. The newest without."
    ),
]
LOOKED_AT = 50
# Colours may pass; whatever else a terminal obeys may not, since logs hold what anybody committed.
_OBEYED = re.compile(r"\x1b\[(?![0-9;]*m)[0-?]*[ -/]*[@-~]|\x1b[^\[]|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x80-\x9f]")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (trigger, builds, logs, cancel, retry):
        app.command()(command)


def trigger(
    context: typer.Context,
    name: Name,
    branch: Annotated[
        str, typer.Option("--branch", help="The head of this branch; the component's without.")
    ] = "",
    tag: Annotated[str, typer.Option("--tag", help="What this tag stands for.")] = "",
    commit: Annotated[
        str, typer.Option("--commit", help="A commit (whole id) that the branch or tag holds.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", "--watch", help="Until done (0), failed (1) or at a gate (3).")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 1800,
    key: Annotated[str, typer.Option("--key", help="The same key again starts nothing a second time.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """Build a component, also what was built before; with --wait tell how far it comes, as it happens.

    Examples: towpath trigger hello-world; towpath trigger hello-world --commit "$(git rev-parse HEAD)" --wait
    """
    api, request = api_of(context), key or uuid.uuid4().hex
    accepted = api.steer(name, "trigger", {"branch": branch, "tag": tag, "commit": commit}, request)
    if not wait:
        tell(accepted, output)
        return
    timeline = Timeline(api.clock, quiet=output in (Format.JSON, Format.YAML))
    timeline.say("accepted", accepted.url or accepted.workflow)
    found = follow(api, name, request, timeout, timeline)
    show(render(found, output, lambda wide: detail(found, wide)))
    raise typer.Exit(EXITS[found.progress.state])


def builds(
    context: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep showing them.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """List a component's builds, newest first.

    Examples: towpath builds hello-world; towpath builds hello-world --watch
    """
    api = api_of(context)

    def make() -> str:
        found = api.builds(name, limit)
        return render(found, output, lambda wide: _builds(found, wide, api.clock()))

    if watch:
        keep_showing(make, api.pause)
    show(make())


def logs(
    context: typer.Context,
    name: Name,
    build: BuildName = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Until the build has ended.")] = False,
) -> None:
    """Print the log of a build, also when its pod is long gone.

    Examples: towpath logs hello-world -f; towpath logs hello-world --build 3f2a9c1/2
    """
    api = api_of(context)
    found = _chosen(api, name, build)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    on_terminal = sys.stdout.isatty()
    for piece in api.log(found, follow):
        text = decoder.decode(piece)
        sys.stdout.write(_OBEYED.sub("", text) if on_terminal else text)
        sys.stdout.flush()
    if not follow:
        return
    ended = api.build(name, found.commit, found.number)
    if ended.phase not in ("succeeded", "superseded"):
        raise Trouble(f"The build has {ended.phase}: {ended.reason}.", printable(ended.message))


def cancel(context: typer.Context, name: Name, build: BuildName = "", output: Output = Format.TABLE) -> None:
    """Stop a running build.

    Examples: towpath cancel hello-world
    """
    api = api_of(context)
    found = _chosen(api, name, build)
    tell(api.steer(name, f"builds/{found.commit}/{found.number}/cancel"), output)


def retry(context: typer.Context, name: Name, build: BuildName = "", output: Output = Format.TABLE) -> None:
    """Build a commit once more, after a failure that was not the commit's.

    Examples: towpath retry hello-world; towpath retry hello-world --build 3f2a9c1
    """
    api = api_of(context)
    found = _chosen(api, name, build)
    tell(api.steer(name, f"builds/{found.commit}/retry"), output)


def tell(accepted: Accepted, output: Format) -> None:
    """What the server has accepted, and where to look."""

    def lines(_: bool) -> str:
        again = " (it was accepted before)" if accepted.duplicate else ""
        where = accepted.url or accepted.workflow
        return "\n".join([f"{printable(accepted.message)}{again}", *([f"  {where}"] if where else [])])

    show(render(accepted, output, lines))


def _chosen(api: Api, name: ComponentKey, wanted: str) -> BuildView:
    commit, _, number = wanted.partition("/")
    if wanted and not (re.fullmatch(r"[0-9a-f]{4,64}", commit) and re.fullmatch(r"\d{0,6}", number)):
        raise typer.BadParameter(f"{wanted!r} is not COMMIT or COMMIT/NUMBER")
    found = api.builds(name, LOOKED_AT)
    fitting = [build for build in found if build.commit.startswith(commit) and number in ("", str(build.number))]
    if not fitting:
        what = f"build {wanted}" if wanted else "build yet"
        raise Trouble(f"{name} has no {what}.", f"towpath builds {name} lists them.")
    if len({build.commit for build in fitting}) > 1 and wanted:
        raise Trouble(f"{wanted} fits builds of several commits.", "Give more digits.")
    return fitting[0]


def _builds(found: list[BuildView], wide: bool, now: float) -> str:
    header = ["COMMIT", "NUMBER", "PHASE", "BRANCH", "AGE", "TOOK", "SUBJECT", "WHY"]
    header += ["ARGO", "IMAGE", "RELEASE"] if wide else []
    rows = []
    for build in found:
        took = age(build.started_at, build.finished_at or now)
        why = build.message if build.phase in ("failed", "cancelled", "superseded", "queued") else ""
        row = [build.commit[:7], str(build.number), build.phase, build.branch, age(build.started_at, now), took]
        row += [build.subject[:50], why if wide else why[:80]]
        rows.append([*row, *([build.argo, build.image, build.release] if wide else [])])
    return columns(header, rows)
