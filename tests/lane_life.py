"""One real lane over a scripted world, what is done to it, and what must be true of it afterwards.

`serve` opens workers for a world and gives the client that speaks to the same Temporal; closing it is the death
of those workers.
"""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from activities.lanes import Lanes
from model import ids
from model.actor import AUTOMATION, Actor
from model.lane import LaneRequest, LaneState, Order
from model.pipeline import EnvironmentStep
from model.verdict import Verdict
from model.vigil import Alarm
from tests.workflows.world import COMPONENT, CRASHING, KEY, World, release
from workflows.lane import Lane

Serve = Callable[[World], AbstractAsyncContextManager[Client]]
PERIOD = timedelta(seconds=5)
PERSON = Actor(kind="person", name="alice")
TURNED = Verdict(health="unhealthy", reason="ErrorRate", message="5 % of requests fail.")
STEPS = (
    *("push", "push", "push", "crash", "repeat", "late", "hold", "resume"),
    *("rollback", "undo", "deploy", "alarm", "die"),
)
NOT_BEGUN = ("superseded", "refused")


class Life:
    """A lane in an environment of its own."""

    def __init__(self, serve: Serve) -> None:
        self.world = World()
        self.place = f"place-{uuid.uuid4().hex[:8]}"
        self.step = EnvironmentStep(environment=self.place)
        self.newest = 0
        self.sent: list[LaneRequest] = []
        self._serve = serve
        self._ids = itertools.count(1)

    @asynccontextmanager
    async def lived(self) -> AsyncIterator["Life"]:
        """With workers alive, but for the moments in which they die."""
        await self._wake()
        try:
            yield self
        finally:
            await self._serving.__aexit__(None, None, None)

    async def _wake(self) -> None:
        self._serving = self._serve(self.world)
        self.client = await self._serving.__aenter__()

    @property
    def lane(self) -> WorkflowHandle[Lane, None]:
        """The lane's workflow."""
        return self.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, self.place))

    async def live(self, step: str) -> None:
        """One of STEPS."""
        if step == "die":
            await self._serving.__aexit__(None, None, None)
            await self._wake()
        elif step in ("push", "crash"):
            self.newest += 1
            if step == "crash":
                self.world.verdicts[(self.place, self.newest)] = CRASHING
            await self.send(self.newest)
        elif step == "late":
            await self.send(max(1, self.newest - 2))
        elif step == "repeat":
            await Lanes(self.client).request(self.sent[0])
        elif step == "alarm":
            state = await self.state()
            revision = max((entry.number for entry in state.history if entry.result == "healthy"), default=1)
            await self.lane.signal(Lane.alarm, Alarm(id=self._next_id(), revision=revision, verdict=TURNED))
        else:
            await self.order(step, self.newest if step == "deploy" else 0)

    async def send(self, number: int) -> None:
        """Automation brings a release."""
        request = LaneRequest(
            id=self._next_id(), kind="deploy", component=COMPONENT, step=self.step, release=release(number)
        )
        self.sent.append(request)
        await Lanes(self.client).request(request)

    async def order(self, kind: str, number: int = 0) -> None:
        """A person orders something, and may be refused."""
        wanted = release(number) if number else None
        fields = {"id": self._next_id(), "kind": kind, "actor": PERSON, "release": wanted}
        order = Order.model_validate(fields | {"allow_older": True})
        with suppress(WorkflowUpdateFailedError):
            await self.lane.execute_update(Lane.order, order, id=order.id)

    def _next_id(self) -> str:
        return f"{self.place}-{next(self._ids)}"

    async def state(self) -> LaneState:
        """What the lane knows; asked again where nobody was there to answer."""
        while True:
            with suppress(RPCError):
                return await self.lane.query(Lane.state, rpc_timeout=PERIOD)

    async def settled(self) -> LaneState:
        """When nothing is to be done any more: what waits does so because of a hold."""
        while True:
            state = await self.state()
            waits = bool(state.waiting or state.alarms) and state.hold is None
            if not (state.deploying or state.orders or waits):
                return state
            await asyncio.sleep(0.05)

    async def keeps_its_promises(self) -> LaneState:
        """I1 to I3 of this lane, from its deployments' start and end times in Temporal and from the world.

        Raises:
            AssertionError: one is broken.
        """
        state = await self.settled()
        assert all(entry.finished_at for entry in state.history), "a deployment without an end"
        ran = [entry for entry in state.history if entry.result not in NOT_BEGUN]
        spans = [await self._span(entry.number) for entry in ran]
        for earlier, later in itertools.pairwise(spans):
            assert earlier[1] <= later[0], f"two deployments at once: {earlier} and {later}"
        asked = [entry.request for entry in state.history]
        assert len(asked) == len(set(asked)), "what was asked once was done twice"
        automatic = [entry for entry in ran if entry.kind == "deploy" and entry.actor == AUTOMATION]
        sequences = [entry.release.sequence for entry in automatic]
        assert sequences == sorted(set(sequences)), "automation brought an older release in, or one once more"
        good = [entry.release for entry in state.history if entry.result == "healthy"]
        assert state.last_good is None or state.last_good in good, "what is good was never healthy"
        preempted = bool(ran) and ran[-1].result == "cancelled"
        assert preempted or state.current == self.world.running[self.place], "what the lane believes does not run"
        return state

    async def _span(self, revision: int) -> tuple[float, float]:
        described = await self.client.get_workflow_handle(ids.rollout(KEY, self.place, revision)).describe()
        assert described.close_time is not None
        return described.start_time.timestamp(), described.close_time.timestamp()
