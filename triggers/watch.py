"""The watch that turns `kubectl apply` and edits into Deliveries.

Safe to restart and to run twice: what the component's status has observed is skipped, and the rest is
deduped by the Delivery's id, which names the object's uid and generation.
"""

import asyncio

import structlog

from model import ids
from model.failure import Failure, UserFailure
from model.key import ComponentKey
from model.push import Push
from model.repository import normalise
from triggers.declared import DeclaredComponent
from triggers.metrics import Metrics
from triggers.sequence import Sequence
from triggers.starter import Starter

BACK_OFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

log = structlog.get_logger(__name__)


class AppliedWatch:
    """Starts a Delivery for every generation of a component that nobody has looked at yet."""

    def __init__(self, starter: Starter, sequence: Sequence, metrics: Metrics) -> None:
        self._starter = starter
        self._sequence = sequence
        self._metrics = metrics
        # The latest object counts: while Temporal is away, an edit takes the place of the one before.
        self._pending: dict[tuple[str, ComponentKey], DeclaredComponent] = {}
        self._done: dict[tuple[str, ComponentKey], tuple[str, int]] = {}
        self._news = asyncio.Event()

    def changed(self, declared: DeclaredComponent) -> None:
        """A component is new or has changed; returns at once."""
        identity, version = _identity(declared), _version(declared)
        if observed_generation(declared) >= version[1] or self._done.get(identity) == version:
            return
        self._pending[identity] = declared
        self._news.set()

    async def run(self) -> None:
        """Start Deliveries for ever; while Temporal cannot be reached, wait and try again."""
        failures = 0
        while True:
            await self._news.wait()
            if not self._pending:
                self._news.clear()
                continue
            identity, declared = next(iter(self._pending.items()))
            try:
                await self._start(declared)
                failures = 0
            except Failure as failure:
                self._metrics.applied("Failed")
                pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
                failures += 1
                log.warning("applied component waits", component=str(declared.key), reason=failure.reason)
                await asyncio.sleep(pause)
                continue
            self._done[identity] = _version(declared)
            if self._pending.get(identity) is declared:
                del self._pending[identity]

    async def _start(self, declared: DeclaredComponent) -> None:
        uid, generation = _version(declared)
        workflow = ids.applied(declared.key, uid, generation)
        started = await self._starter.start(applied_push(declared, self._sequence.next()), workflow)
        self._metrics.applied("Duplicate" if started.duplicate else "Started")
        log.info("component applied", component=str(declared.key), generation=generation, workflow=workflow)


def observed_generation(declared: DeclaredComponent) -> int:
    """The generation that the component's status speaks of; 0 when it has none."""
    status = declared.object.get("status")
    observed = status.get("observedGeneration") if isinstance(status, dict) else None
    return observed if isinstance(observed, int) else 0


def applied_push(declared: DeclaredComponent, sequence: int) -> Push:
    """The push that an applied component is: its branch's present head, for this component only.

    A component that does not convert, or builds nothing, is announced without a repository: the Delivery
    can write to the component what is wrong with it, this process cannot.
    """
    source = declared.component.source if declared.component else None
    push = Push(
        cause="applied",
        provider="kubernetes",
        repository="",
        url="",
        ref="",
        sequence=sequence,
        components=(declared.key,),
        declared_in=str(declared.object.get("apiVersion", "")),
    )
    if source is None:
        return push
    try:
        repository = normalise(source.url)
    except UserFailure:
        return push
    return push.model_copy(
        update={"repository": repository, "url": source.url, "ref": f"refs/heads/{source.branch}"}
    )


def _identity(declared: DeclaredComponent) -> tuple[str, ComponentKey]:
    # A Workload's edit must not take the place of its component's.
    return f"{declared.object.get('apiVersion', '')}/{declared.object.get('kind', '')}", declared.key


def _version(declared: DeclaredComponent) -> tuple[str, int]:
    metadata = declared.object["metadata"]
    return str(metadata.get("uid", "")), int(metadata.get("generation") or 0)
