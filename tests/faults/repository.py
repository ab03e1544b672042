"""A Git host whose repositories are in memory: what moves there is only told to those who come and look.

`Hosted` reads them with the very `Source` that is used with real mirrors; only the mirror is another one.
"""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activities import git
from activities.mirror import Described
from activities.source import Source
from model.failure import InfrastructureFailure
from model.repository import normalise
from model.source import ChangesRequest

Tree = dict[str, int]


@dataclass(frozen=True)
class Kept:
    """A commit: its parent (empty for the first) and the version of every folder."""

    parent: str
    tree: Tree


@dataclass
class Repository:
    """One repository. Commit ids are unique among all lives."""

    url: str
    prefix: int
    commits: dict[str, Kept] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    away: int = 0
    """How many fetches from now on find the host away."""

    def commit(self, ref: str, folders: Collection[str]) -> str:
        """Change some folders on top of a ref, and move it there."""
        parent = self.refs.get(ref, "")
        number = len(self.commits) + 1
        tree = dict(self.commits[parent].tree) if parent else {}
        tree |= dict.fromkeys(folders, number)
        made = f"{self.prefix:020x}{number:020x}"
        self.commits[made] = Kept(parent, tree)
        self.refs[ref] = made
        return made

    def holds(self, head: str, commit: str) -> bool:
        """Whether a commit is a head, or among what came before it."""
        while head:
            if head == commit:
                return True
            head = self.commits[head].parent
        return False

    def version(self, commit: str, folder: str) -> int:
        """What a folder holds at a commit."""
        return self.commits[commit].tree.get(folder, 0)


class Hosted(Source):
    """Reads repositories of this module."""

    def __init__(self, repositories: dict[str, Repository]) -> None:
        super().__init__(Path("/nowhere"), _Nobody())
        self._repositories = repositories
        self._mirrors: dict[str, _Mirror] = {}

    async def _mirror(self, request: ChangesRequest, url: str) -> Any:
        key = normalise(url)
        if key not in self._mirrors:
            self._mirrors[key] = _Mirror(self._repositories[key])
        return self._mirrors[key]


class _Nobody:
    async def basic(self, namespace: str, secret: str) -> tuple[str, str] | None:
        return None


class _Mirror:
    """What was fetched of a repository, as far as `Source` asks."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._refs: dict[str, str] = {}
        self.folder = Path("/nowhere") / f"{repository.prefix}"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        yield

    async def offered(self, refs: Collection[str]) -> set[str]:
        self._reach()
        return {ref for ref in refs if ref in self._repository.refs}

    async def heads(self, limit: int) -> dict[str, str]:
        self._reach()
        return dict(self._repository.refs)

    async def fetch(self, *refs: str) -> None:
        self._reach()
        for ref in refs:
            if ref not in self._repository.refs:
                raise git.failure(git.Output(128, b"", "fatal: couldn't find remote ref", False), "", ref)
            self._refs[ref] = self._repository.refs[ref]

    def _reach(self) -> None:
        if self._repository.away:
            self._repository.away -= 1
            raise InfrastructureFailure("GitUnreachable", "The Git host is away.")

    async def tidy(self) -> None:
        return None

    async def head(self, ref: str) -> str:
        return self._refs.get(ref, "")

    async def peel(self, name: str) -> str:
        return name

    async def has(self, commit: str) -> bool:
        return any(self._repository.holds(head, commit) for head in self._refs.values())

    async def came(self, commit: str) -> bool:
        return await self.has(commit)

    async def describe(self, commit: str) -> Described:
        return Described("Ann", "ann@example.test", f"change {commit[-4:]}", False, False, "a change")

    async def is_ancestor(self, commit: str, head: str) -> bool:
        return self._repository.holds(head, commit)

    async def changed(self, before: str, after: str, limit: int) -> tuple[str, ...] | None:
        if not await self.has(before):
            return None
        trees = self._repository.commits[before].tree, self._repository.commits[after].tree
        return tuple(
            f"{folder}/file"
            for folder in sorted({**trees[0], **trees[1]})
            if trees[0].get(folder) != trees[1].get(folder)
        )

    async def call(self, *arguments: str) -> git.Output:
        assert arguments[:2] == ("merge-base", "--is-ancestor"), arguments
        commit, head = arguments[2:]
        known = await self.has(commit) and await self.has(head)
        return git.Output(0 if known and self._repository.holds(head, commit) else 1, b"", "", False)


def folders(dice: random.Random, names: Collection[str]) -> list[str]:
    """One or two of them."""
    return dice.sample(sorted(names), dice.randint(1, 2))
