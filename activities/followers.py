"""Which components follow which branch, kept in memory, so that a push does not read all that is declared."""

import asyncio

from activities.declarations import CHOREO, OPENCHOREO, TOWPATH
from activities.informer import Informer, Object, Watching
from model import declared, stated_filters
from model.failure import UserFailure
from model.key import ComponentKey
from model.repository import branch_of, normalise
from model.resources.declared import read
from model.resources.repository import Repository

Place = tuple[str, str]
_Identity = tuple[str, str, str]
_ANY = ""
"""In place of a branch: filters decide which refs are followed, so the component is asked at every push."""


class Followers:
    """An index of the components of both groups by repository (normalised address) and branch.

    It names whoever may follow a ref; it may be behind the API server by what a watch takes, and does not judge
    filters, so what it names is to be read again.
    """

    def __init__(self, server: Watching) -> None:
        self._components = (Informer(server, OPENCHOREO, "Component"), Informer(server, CHOREO, "Component"))
        self._repositories = Informer(server, TOWPATH, "Repository")
        self._places: dict[_Identity, Place] = {}
        self._followers: dict[Place, set[_Identity]] = {}
        self._filtered: dict[tuple[str, str], str] = {}
        for informer in self._components:
            informer.listen(self._changed)
        self._repositories.listen(self._repository_changed)

    async def run(self) -> None:
        """Follow the API server for ever."""
        async with asyncio.TaskGroup() as tasks:
            for informer in (*self._components, self._repositories):
                tasks.create_task(informer.run())

    def of(self, repository: str, ref: str) -> list[ComponentKey]:
        """The components that may follow a ref (a full name). None where that cannot be said: while nothing has
        been read yet, and where the repository's own filters decide for all its components."""
        if not all(informer.synced.is_set() for informer in (*self._components, self._repositories)):
            return []
        if repository in self._filtered.values():
            return []
        branch = branch_of(ref)
        found = set(self._followers.get((repository, _ANY), ()))
        if branch:
            found |= self._followers.get((repository, branch), set())
        return sorted({ComponentKey(namespace=namespace, name=name) for _, namespace, name in found}, key=str)

    def _changed(self, before: Object | None, after: Object | None) -> None:
        if before is not None and after is not None and _said(before) == _said(after):
            # Statuses change all the time and say nothing about sources.
            return
        present = after or before
        assert present is not None  # noqa: S101  (an informer never tells of nothing)
        metadata = present["metadata"]
        identity = (str(present.get("apiVersion")), str(metadata.get("namespace")), str(metadata["name"]))
        former = self._places.pop(identity, None)
        if former is not None:
            self._followers[former].discard(identity)
            if not self._followers[former]:
                del self._followers[former]
        place = _place(after) if after is not None else None
        if place is not None:
            self._places[identity] = place
            self._followers.setdefault(place, set()).add(identity)

    def _repository_changed(self, before: Object | None, after: Object | None) -> None:
        present = after or before
        assert present is not None  # noqa: S101  (an informer never tells of nothing)
        identity = (str(present["metadata"].get("namespace")), str(present["metadata"]["name"]))
        self._filtered.pop(identity, None)
        address = _filtered(after) if after is not None else None
        if address is not None:
            self._filtered[identity] = address


def _said(obj: Object) -> tuple[object, object]:
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return obj.get("spec"), annotations.get(stated_filters.ANNOTATION)


def _place(obj: Object) -> Place | None:
    """What an object follows; None for one that cannot be read, which its own Delivery tells about."""
    try:
        component = declared.component(obj)
        if component.source is None:
            return None
        branch = _ANY if component.filters.widen else component.source.branch
        return normalise(component.source.url), branch
    except UserFailure:
        return None


def _filtered(obj: Object) -> str | None:
    """The address of a repository whose filters may let other refs in than its components' branches."""
    try:
        repository = read(Repository, obj)
        if repository.spec.filters is None:
            return None
        address = normalise(repository.spec.url)
    except UserFailure:
        return None
    try:
        return address if stated_filters.stated(repository.spec.filters, "spec.filters").widen else None
    except UserFailure:
        return address
