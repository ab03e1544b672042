"""Kept build logs for the API: the registry's artifacts, read piece by piece."""

from activities.registry import Registry
from triggers.api.access import LogPiece


class KeptLogs:
    """Reads logs where builds keep them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def read(self, reference: str, offset: int) -> LogPiece:
        """What is there from `offset` (bytes) on.

        Raises:
            NotFound: there is no log (yet).
            InfrastructureFailure: the registry could not be reached.
        """
        content = await self._registry.read_log(reference, offset)
        return LogPiece(content=content, offset=offset + len(content))
