"""Deliveries that are almost real: one of a sender's, with some of it taken out, replaced or blown up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.triggers.dialects import (
    Delivery,
    azure,
    bitbucket_cloud,
    bitbucket_datacenter,
    git,
    gitea,
    github,
    gitlab,
    registries,
)

EXAMPLES = Path(__file__).parent.parent / "data" / "webhooks" / "github" / "examples.json"
TAKEN = ("push", "create", "delete", "pull_request", "issue_comment", "ping", "package")
Path_ = tuple[str | int, ...]

REMOVED = object()
ODD: tuple[Any, ...] = (
    REMOVED, None, True, False, 0, 1, -1, 2**63, 10**4298, 1.5, 1e308, "", " ", "\u0000", "\u202e", "ü" * 300,
    "x" * 5000, "refs/heads/main", "refs/tags/v1", "refs/heads/--x", "refs/heads/a..b", "main", "0" * 40, "0" * 64,
    "f" * 40, "F" * 40, "HEAD", "https://git.example/team/hello-world.git", "https://user:pw@git.example/x/y",
    "ext::sh -c id", "file:///etc/passwd", "http://[::1", "https://git.example:99999/x", "git@git.example:x",
    "2026-11-21T17:24:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "2026-11-21 17:24:00 UTC",
    [], [[]], [None], [{}], {}, {"": {}}, {"id": {}}, {"href": []}, {"branch": "x"}, "create", "merge", "closed",
)  # fmt: skip


def seeds() -> list[Delivery]:
    """Real deliveries, of every sender and of everything that it can say."""
    senders: tuple[Any, ...] = (github, gitlab, gitea, bitbucket_cloud, bitbucket_datacenter, azure, git)
    made = [make() for each in senders for make in (each.push, each.change, each.merged, each.comment)]
    more = [
        github.deleted(), github.ping(), gitea.deleted(), bitbucket_datacenter.ping(), git.ping(),
        gitlab.push("refs/tags/v1"), gitlab.push(signs="standard"), gitea.push(member="Forgejo"),
        gitea.push(member="Gogs"), azure.push(signs="header"), bitbucket_datacenter.change(fork=True),
        gitlab.repository_update(("refs/heads/main", "0" * 40, "1" * 40)), azure.change(fork=True),
    ]  # fmt: skip
    recorded = [
        Delivery("github", github.delivery(event, {}).headers, examples[0])
        for event, examples in json.loads(EXAMPLES.read_text()).items()
        if event in TAKEN
    ]
    return [*made, *more, *recorded, *registries.every()]


def places(content: Any, limit: int = 400) -> list[Path_]:
    """Where something can be changed."""
    found: list[Path_] = []
    for path in _walk(content, ()):
        if len(found) == limit:
            break
        found.append(path)
    return found


def _walk(content: Any, path: Path_) -> Iterator[Path_]:
    inner: Any = content.items() if isinstance(content, dict) else enumerate(content)
    for name, value in list(inner):
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from _walk(value, (*path, name))


def changed(content: dict[str, Any], edits: list[tuple[Path_, Any]]) -> dict[str, Any]:
    """The same with something else in every place; places that are gone by then are left out."""
    made: Any = content
    for path, value in edits:
        made = _replaced(made, path, value)
    return made if isinstance(made, dict) else {}


def _replaced(content: Any, path: Path_, value: Any) -> Any:
    """What is on the way is copied, and what is beside it shared: nothing that was given is ever written to."""
    name, rest = path[0], path[1:]
    if isinstance(content, dict):
        there = name in content
    else:
        there = isinstance(content, list) and isinstance(name, int) and name < len(content)
    if not there:
        return content
    copied = content.copy()
    if rest:
        copied[name] = _replaced(copied[name], rest, value)
    elif value is REMOVED:
        del copied[name]
    else:
        copied[name] = value
    return copied
