"""The queues before build planes, as the API shows them."""

from model import ids
from model.build_queue import Limits, QueueView
from model.failure import NotFound
from triggers.runs import Runs


class Queues:
    """Asks the queues' workflows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def get(self, plane: str) -> QueueView:
        """Who builds on a plane and who waits, in the order of their turns. A plane that nobody has built on yet
        has an empty queue.

        Raises:
            InfrastructureFailure: `TemporalUnavailable` or `NoWorker`.
        """
        try:
            return await self._runs.query(ids.queue(plane), "view", QueueView)
        except NotFound:
            return QueueView(plane=plane, limits=Limits(), known=True)
