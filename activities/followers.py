"""Which components follow which branch, kept in memory, so that a push does not read all that is declared."""

import asyncio

from activities.declarations import CHOREO, OPENCHOREO
from activities.informer import Informer, Object, Watching
from model import declared
from model.failure import UserFailure
from model.key import ComponentKey
from model.repository import normalise

Branch = tuple[str, str]
_Identity = tuple[str, str, str]


class Followers:
    """An index of the components of both groups by repository (normalised address) and branch.

    It may be behind the API server by what a watch takes, so what it names is to be read again.
    """

    def __init__(self, server: Watching) -> None:
        self._informers = (Informer(server, OPENCHOREO, "Component"), Informer(server, CHOREO, "Component"))
        self._branches: dict[_Identity, Branch] = {}
        self._followers: dict[Branch, set[_Identity]] = {}
        for informer in self._informers:
            informer.listen(self._changed)

    async def run(self) -> None:
        """Follow the API server for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run())

    def of(self, repository: str, branch: str) -> list[ComponentKey]:
        """The components that seem to follow a branch; none as well while nothing has been read yet."""
        if not all(informer.synced.is_set() for informer in self._informers):
            return []
        found = self._followers.get((repository, branch), set())
        return sorted({ComponentKey(namespace=namespace, name=name) for _, namespace, name in found}, key=str)

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if before is not None and after is not None and before.get("spec") == after.get("spec"):
            # Statuses change all the time and say nothing about sources.
            return
        present = after or before
        assert present is not None  # noqa: S101  (an informer never tells of nothing)
        metadata = present["metadata"]
        identity = (str(present.get("apiVersion")), str(metadata.get("namespace")), str(metadata["name"]))
        former = self._branches.pop(identity, None)
        if former is not None:
            self._followers[former].discard(identity)
            if not self._followers[former]:
                del self._followers[former]
        branch = _branch(after) if after is not None else None
        if branch is not None:
            self._branches[identity] = branch
            self._followers.setdefault(branch, set()).add(identity)


def _branch(obj: Object) -> Branch | None:
    """What an object follows; None for one that cannot be read, which its own Delivery tells about."""
    try:
        source = declared.component(obj).source
        return None if source is None else (normalise(source.url), source.branch)
    except UserFailure:
        return None
