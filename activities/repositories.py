"""The Repository objects that speak of an address."""

from typing import Any

import structlog

from activities.apiserver import ApiServer
from activities.declarations import TOWPATH
from model.failure import UserFailure
from model.repository import normalise
from model.resources.declared import read
from model.resources.repository import Repository

log = structlog.get_logger(__name__)


class Repositories:
    """Reads Repository objects of the control plane's API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def of(self, namespace: str, address: str) -> Repository | None:
        """The one that is asked about an address (normalised): the first by name that has an `api`, or any.

        Those that cannot be read are passed over.
        """
        found = await self._all(namespace, address, strict=False)
        return found[0] if found else None

    async def every(self, namespace: str, address: str) -> list[Repository]:
        """All that speak of an address, those with an `api` first, then by name.

        Raises:
            UserFailure: one of them cannot be read; what it says must not be taken for nothing.
        """
        return await self._all(namespace, address, strict=True)

    async def _all(self, namespace: str, address: str, strict: bool) -> list[Repository]:
        found: list[Repository] = []
        for obj in await self._server.list(TOWPATH, "Repository", namespace):
            if not _speaks_of(obj, address):
                continue
            try:
                found.append(read(Repository, obj))
            except UserFailure as failure:
                if strict:
                    raise
                # Whoever reads components complains about it on the object itself.
                log.warning("repository unusable", name=obj["metadata"]["name"], reason=failure.reason)
        return sorted(found, key=lambda each: (each.spec.api is None, each.metadata.name))


def _speaks_of(obj: dict[str, Any], address: str) -> bool:
    url = (obj.get("spec") or {}).get("url")
    try:
        return isinstance(url, str) and normalise(url) == address
    except UserFailure:
        return False
