"""What a build asks a plane's queue for."""

from model.build import BuildRequest
from model.build_queue import Entry
from model.failure import UserFailure
from model.priority import WORDS, Priority, of_cause, step
from model.repository import normalise


def entry_of(request: BuildRequest, workflow: str, now: float) -> Entry:
    """The entry of the build whose workflow id is given, at the moment (seconds) at which it first asks."""
    component = request.component
    namespace = component.key.namespace
    return Entry(
        build=workflow,
        project=f"{namespace}/{component.project}",
        repository=f"{namespace}/{_address(request)}",
        repository_limit=component.repository_builds,
        line=f"{component.key} {request.line}",
        commit=request.commit.id,
        sequence=request.sequence,
        priority=priority_of(request),
        since=now,
    )


def priority_of(request: BuildRequest) -> Priority:
    """What whoever started it said; else what its component or repository states, of which a preview gets no
    more than `low`; else what its cause gives it."""
    said, declared = _word(request.priority), _word(request.component.priority)
    if said:
        return said
    of_its_own = of_cause(request.cause, bool(request.preview))
    if declared and (request.preview or request.cause in ("sweep", "schedule")):
        return min(declared, of_its_own, key=step)
    return declared or of_its_own


def _word(text: str) -> Priority | None:
    """One of the five; whoever states something else is told so where it is stated."""
    return next((word for word in WORDS if word == text), None)


def _address(request: BuildRequest) -> str:
    source = request.component.source
    try:
        return normalise(source.url) if source else ""
    except UserFailure:
        return ""
