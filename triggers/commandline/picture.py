"""The live picture: components x environments, and why each waits."""

from model.note import EnvironmentNote
from triggers.commandline.output import columns, printable
from triggers.views import ComponentDetail, ComponentView

_SIGNS = {"Healthy": "ok", "Progressing": "..", "Degraded": "!!", "Waiting": "||"}


def picture(components: list[ComponentView], wide: bool = False) -> str:
    """A line a component, a column an environment, and below it what waits for whom."""
    if not components:
        return "No components. Apply one: kubectl apply -f component.yaml"
    environments = list(dict.fromkeys(note.name for view in components for note in view.environments))
    header = ["COMPONENT", "STAGE", "BUILD", *(name.upper() for name in environments)]
    rows = []
    for view in components:
        cells = {note.name: _cell(note, wide) for note in view.environments}
        rows.append([_name(view), view.stage, _build(view), *(cells.get(name, "") for name in environments)])
    lines = [columns(header, rows)]
    waits = [line for view in components for line in waiting_lines(view)]
    return "\n".join([*lines, *(["", *waits] if waits else [])])


def waiting_lines(view: ComponentView) -> list[str]:
    """Why a component waits, and the command that lets it go on."""
    if view.problem:
        return [f"{_name(view)}: {printable(view.problem)}"]
    lines = []
    if view.ready is False and view.message:
        lines.append(f"{_name(view)}: {printable(view.message)}")
    for note in view.environments:
        if note.held:
            lines.append(
                f"{_name(view)}: {note.name}: held ({printable(note.held)}); "
                f"towpath resume {_name(view)} -e {note.name}"
            )
        if note.health == "Waiting":
            where = f"{_name(view)} -e {note.name}"
            lines.append(
                f"{_name(view)}: {note.name}: {note.reason}: {printable(note.message)} "
                f"towpath proceed {where}, or towpath abort {where}"
            )
        if note.waiting_release:
            why = printable(note.waiting_reason) or f"{note.waiting_release} waits at its gate."
            lines.append(f"{_name(view)}: {note.name}: {why} towpath approve {_name(view)} -e {note.name}")
    return lines


def detail(view: ComponentDetail, wide: bool = False) -> str:
    """One component's picture with how far its newest change has come."""
    progress = view.progress
    lines = [picture([view], wide), "", f"{progress.state}: {printable(progress.message)}"]
    if progress.next:
        lines.append(f"next: {progress.next}")
    if view.builds and view.builds[0].url:
        lines.append(f"build: {view.builds[0].url}")
    if view.promotions and view.promotions[0].url:
        lines.append(f"promotion: {view.promotions[0].url}")
    return "\n".join(lines)


def _name(view: ComponentView) -> str:
    return view.name if view.namespace == "default" else f"{view.namespace}/{view.name}"


def _build(view: ComponentView) -> str:
    return f"{view.build.phase} {view.build.commit[:7]}" if view.build else ""


def _cell(note: EnvironmentNote, wide: bool) -> str:
    if not note.release:
        return "|| gate" if note.waiting_release else ""
    what = note.release if wide else note.commit[:7]
    cell = f"{_SIGNS.get(note.health, '??')} {what} r{note.revision}"
    if note.health not in ("Healthy", ""):
        cell += f" {note.health}"
    if note.held:
        cell += " held"
    if note.waiting_release:
        cell += " <- gate"
    return cell
