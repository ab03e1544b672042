"""Components as people are shown them: the declared object, and what its status tells."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake

from model.note import BuildNote, EnvironmentNote
from triggers.declared import DeclaredComponent
from triggers.views import ComponentView

N = TypeVar("N", bound=BaseModel)


def component_view(declared: DeclaredComponent, order: tuple[str, ...] = ()) -> ComponentView:
    """Read an object of either group; its environments come in the pipelines' `order`.

    Status fields that are missing or odd are left empty: the status is written by the engine, and a picture
    with a hole is better than none.
    """
    status = _mapping(declared.object.get("status"))
    component = declared.component
    source = component.source if component else None
    latest = _mapping(status.get("latestRelease"))
    ready = _condition(status, "Ready")
    read = [_note(EnvironmentNote, entry) for entry in _list(status.get("environments"))]
    place = {name: position for position, name in enumerate(order)}
    environments = sorted(
        (note for note in read if note is not None), key=lambda note: (place.get(note.name, len(place)), note.name)
    )
    return ComponentView(
        namespace=declared.key.namespace,
        name=declared.key.name,
        api_version=_text(declared.object.get("apiVersion")),
        uid=_text(declared.object["metadata"].get("uid")),
        generation=_number(declared.object["metadata"].get("generation")),
        observed_generation=_number(status.get("observedGeneration")),
        project=component.project if component else "",
        repository=source.url if source else "",
        branch=source.branch if source else "",
        app_path=source.app_path if source else "",
        stage=_text(status.get("stage")),
        ready=None if not ready else ready.get("status") == "True",
        message=_text(status.get("message")) or _text(ready.get("message")),
        problem=declared.problem,
        release=_text(latest.get("name")),
        image=_text(latest.get("image")),
        build=_note(BuildNote, status.get("build")),
        environments=tuple(environments),
    )


def _note(kind: type[N], entry: Any) -> N | None:
    """A note as its fields are written in Kubernetes: in camelCase."""
    fields = {to_snake(name): found for name, found in _mapping(entry).items()}
    if not fields:
        return None
    try:
        return kind.model_validate(fields)
    except ValidationError:
        return None


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (_mapping(entry) for entry in _list(status.get("conditions")))
    return next((entry for entry in conditions if entry.get("type") == kind), {})


def _mapping(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _number(found: Any) -> int:
    return found if isinstance(found, int) else 0
