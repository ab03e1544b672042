"""What differs between two revisions of a component, in one environment or in two.

Secrets are told by the reference under which they are kept, never by value.
"""

import difflib
from collections.abc import Callable
from typing import Any

import yaml

from model import labels
from model.failure import UserFailure
from model.manifests.bundle import Parts, parts, wanted_strategy
from model.release import Release
from model.rollout import RolloutRequest, Target
from model.value import Value
from model.workload import File, Variable

MANIFESTS_LIMIT = 200_000
VALUE_LIMIT = 500
_ORDER_ONLY = (labels.REVISION, labels.FENCE)


class Side(Value):
    """One of the two: what ran as `revision` (0: nothing does) where."""

    environment: str
    revision: int = 0
    release: str = ""
    commit: str = ""
    image: str = ""


class Setting(Value):
    """One thing of the configuration that differs; empty where it is not there."""

    name: str
    before: str = ""
    after: str = ""


class Difference(Value):
    """From `before` to `after`: the image, the settings, and the manifests as a unified diff.

    `note` says what the manifests leave out.
    """

    before: Side
    after: Side
    same: bool
    settings: tuple[Setting, ...] = ()
    manifests: str = ""
    note: str = ""


class Ran(Value):
    """A revision's release where it ran; `release` is None where nothing did."""

    target: Target
    revision: int = 0
    release: Release | None = None


def difference(before: Ran, after: Ran) -> Difference:
    """What going from one to the other changes."""
    one, other = _rendered(before), _rendered(after)
    diff = "".join(
        difflib.unified_diff(
            one.splitlines(keepends=True),
            other.splitlines(keepends=True),
            _title(before),
            _title(after),
        )
    )
    depends = any(ran.release is not None and ran.release.workload.dependencies for ran in (before, after))
    note = "Addresses of dependencies are looked up when it is deployed, and left out here." if depends else ""
    if len(diff) > MANIFESTS_LIMIT:
        diff = diff[:MANIFESTS_LIMIT].rpartition("\n")[0] + "\n"
        note = f"{note} The manifests' difference is cut after {MANIFESTS_LIMIT} characters.".strip()
    settings = _settings(before.release, after.release)
    return Difference(
        before=_side(before),
        after=_side(after),
        same=not diff and not settings and _image(before) == _image(after),
        settings=settings,
        manifests=diff,
        note=note,
    )


def _side(ran: Ran) -> Side:
    release = ran.release
    return Side(
        environment=ran.target.step.environment,
        revision=ran.revision,
        release=release.name if release else "",
        commit=release.commit.id if release else "",
        image=_image(ran),
    )


def _image(ran: Ran) -> str:
    return ran.release.image.reference if ran.release else ""


def _title(ran: Ran) -> str:
    release = ran.release.name if ran.release else "nothing"
    return f"{ran.target.step.environment}/{ran.revision} ({release})"


def _settings(before: Release | None, after: Release | None) -> tuple[Setting, ...]:
    one, other = _configuration(before), _configuration(after)
    return tuple(
        Setting(name=name, before=one.get(name, ""), after=other.get(name, ""))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    )


def _configuration(release: Release | None) -> dict[str, str]:
    if release is None:
        return {}
    workload = release.workload
    found = {f"env {variable.name}": _told(variable, _cut) for variable in workload.variables}
    found |= {f"file {file.path}": _told(file, _sized) for file in workload.files}
    plain = workload.model_dump(mode="json", exclude={"variables", "files"})
    return found | {
        name.replace("_", " "): _cut(
            value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True)
        )
        for name, value in plain.items()
        if value not in ("", [], None)
    }


def _told(entry: Variable | File, literal: Callable[[str], str]) -> str:
    return f"secret {entry.secret}, key {entry.key}" if entry.secret else literal(entry.value)


def _cut(text: str) -> str:
    text = text.strip().removesuffix("\n...")
    return text if len(text) <= VALUE_LIMIT else f"{text[:VALUE_LIMIT]} … ({len(text)} characters)"


def _sized(text: str) -> str:
    return f"{len(text.encode())} bytes; see the manifests"


def _rendered(ran: Ran) -> str:
    """The objects as YAML, in a stable order, without the marks that order writes: they differ each time."""
    if ran.release is None:
        return ""
    request = RolloutRequest(target=ran.target, release=ran.release, revision=0)
    try:
        made: Parts = parts(request, strategy=wanted_strategy(request))
    except UserFailure as failure:
        return f"# {failure.reason}: {failure.message}\n"
    objects = [_without_order(obj) for obj in (*made.around, made.workload)]
    objects.sort(key=lambda obj: (obj["kind"], obj["metadata"]["name"]))
    return "".join(f"---\n{yaml.safe_dump(obj, sort_keys=True)}" for obj in objects)


def _without_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_order(each) for key, each in value.items() if key not in _ORDER_ONLY}
    return [_without_order(each) for each in value] if isinstance(value, list | tuple) else value
