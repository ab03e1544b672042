"""A plane's queue in words, for the command line."""

from model.build_queue import QueueView


def headline(view: QueueView) -> str:
    """One line: how many run of how many, how many wait, and what is wrong if something is."""
    text = f"{view.plane}: {len(view.running)} of {view.limits.running} run, {len(view.waiting)} wait"
    if not view.known:
        return f"{text}; it has just begun and counts what runs"
    return f"{text}; nobody serves the plane, so nobody is let in" if view.away_since else text


def subject(build: str) -> tuple[str, str]:
    """The component and the commit with the attempt, as people write them, of a Build's workflow id."""
    kind, _, rest = build.partition("/")
    parts = rest.split("/")
    if kind == "build" and len(parts) == 4:
        return "/".join(parts[:2]), f"{parts[2][:7]}/{parts[3]}"
    if kind == "preview-build" and len(parts) == 5:
        return f"{parts[0]}/{parts[1]} ({parts[2]})", f"{parts[3][:7]}/{parts[4]}"
    return build, ""
