"""What senders have announced lately, and what it started: asked of Temporal, which keeps it."""

from typing import Literal

from model.change_request import ChangeRequest
from model.comment import Comment
from model.event import Announced
from model.image_push import ImagePush
from model.poison import Poison
from model.push import Push
from model.ref_deleted import RefDeleted
from triggers.runs import Run, Runs
from triggers.starter import KINDS, Stored
from triggers.views import EventView
from triggers.webhooks.receiver import Link
from workflows.attributes import COMMIT, REPOSITORY, STAGE

EventKind = Literal["push", "change", "deleted", "comment", "image", "poison"]
_NAMES: dict[type[Stored], EventKind] = {
    Push: "push",
    ChangeRequest: "change",
    RefDeleted: "deleted",
    Comment: "comment",
    ImagePush: "image",
    Poison: "poison",
}
_WORKFLOWS: dict[str, EventKind] = {KINDS[kind]: name for kind, name in _NAMES.items()}
_ANNOUNCED = tuple(KINDS[kind] for kind in Announced.__args__)


class Events:
    """Deliveries of senders, and what was found or asked for without one."""

    def __init__(self, runs: Runs, link: Link) -> None:
        self._runs = runs
        self._link = link

    async def newest(self, repository: str, poison: bool, limit: int) -> list[EventView]:
        """The newest first. `repository` is its normalised address, empty for all; with `poison` only those on
        which our reading broke, of which no repository is known.

        Raises:
            InfrastructureFailure: `TemporalUnavailable`.
        """
        types = (KINDS[Poison],) if poison else _ANNOUNCED
        return [self._view(run) for run in await self._runs.of_types(types, "" if poison else repository, limit)]

    def _view(self, run: Run) -> EventView:
        told = run.attributes
        return EventView(
            workflow=run.workflow,
            kind=_WORKFLOWS.get(run.type, ""),
            status=run.status,
            stage=told.get(STAGE) or "",
            repository=told.get(REPOSITORY) or "",
            commit=told.get(COMMIT) or "",
            at=run.started_at,
            url=self._link(run.workflow),
        )
