"""Freeze objects on the control plane: made, listed and taken away."""

from typing import Any, Protocol

from model.failure import NotFound
from model.resources.declared import read
from model.resources.freeze import Freeze, manifest

TOWPATH = "towpath.dev/v1alpha1"
Object = dict[str, Any]


class Objects(Protocol):
    """The part of `activities.apiserver.ApiServer` that is used here; its docstrings hold."""

    async def create(self, obj: Object) -> Object:
        """Create it, or Conflict."""
        ...

    async def list(
        self, api_version: str, kind: str, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """All that match."""
        ...

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        propagation: str = "Background",
        uid: str = "",
    ) -> bool:
        """Delete it; False when absent."""
        ...


class Freezes:
    """People's freezes."""

    def __init__(self, server: Objects) -> None:
        self._server = server

    async def make(self, namespace: str, name: str, spec: dict[str, Any]) -> Freeze:
        """Hold gates shut.

        Raises:
            Conflict: there is one of this name.
            UserFailure: the API server refuses it, with its own message.
        """
        return read(Freeze, await self._server.create(manifest(name, namespace, spec)))

    async def all(self, namespace: str) -> list[Freeze]:
        """Those of a namespace, by name."""
        found = [read(Freeze, obj) for obj in await self._server.list(TOWPATH, "Freeze", namespace)]
        return sorted(found, key=lambda freeze: freeze.metadata.name)

    async def lift(self, namespace: str, name: str) -> None:
        """Take one away.

        Raises:
            NotFound: `FreezeNotFound`.
        """
        if not await self._server.delete(TOWPATH, "Freeze", name, namespace):
            raise NotFound(
                "FreezeNotFound", f"There is no Freeze {name} in namespace {namespace}; see `towpath freezes`."
            )
