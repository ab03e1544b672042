"""Who may say what: the same people by the API and by a raw update, and nobody by a raw signal."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadConverter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from activities.lanes import Lanes
from deploy.local.settings import Settings
from model import ids
from model.failure import Failure
from model.key import ComponentKey
from model.lane import LaneRequest, LaneSettled, LaneState
from model.pipeline import EnvironmentStep
from model.promotion import PromotionRequest, PromotionState
from model.proofkey import key_id
from model.statement import LIFETIME_SECONDS, stated
from tests.temporal_namespace import client_of
from tests.triggers.serving import VIEWING, Parts, authorized, serving
from tests.workflows.test_story import ALICE, AUTHOR, approval
from tests.workflows.world import COMPONENT, KEY, World, release
from triggers.problem import Problem
from triggers.runs import TemporalRuns
from triggers.signing import Signer, only_signing
from worker.failures import FailureInterceptor
from worker.guard import BEGAN, Guard
from worker.keys import SealKeys
from worker.planes import WORKFLOWS
from worker.seals import Sealing
from workflows.lane import Lane
from workflows.promotion import Promotion

BASE = f"/api/v1/components/{KEY.namespace}/{KEY.name}"
STATEMENTS = f"/api/v1/statements/components/{KEY.namespace}/{KEY.name}"
NAMESPACE = "towpath-test-signals"
SERVER, NEXT, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))
PROOFS = {key_id(key.public_key().public_bytes_raw()): key.public_key() for key in (SERVER, NEXT)}
SEALS = SealKeys(active="one", secrets={"one": b"1" * 32, "old": b"0" * 32})
ELSEWHERE = SealKeys(active="two", secrets={"two": b"2" * 32})

pytestmark = pytest.mark.stack
Handle = WorkflowHandle[Promotion, PromotionState]


@pytest.fixture(scope="session")
async def temporal() -> Client:
    """A client for a namespace of our own, that seals what its activities signal.

    On the real server: the one that skips time drops the headers of signals between workflows.
    """
    return await client_of(Settings.from_environment(), NAMESPACE, interceptors=[Sealing(SEALS)])


async def forget(client: Client) -> None:
    """Every test uses the same workflow ids."""
    names = [ids.promotion(KEY, release(1).name)]
    names += [ids.lane(KEY, name) for name in ("development", "staging", "production")]
    for name in names:
        with suppress(RPCError):
            await client.get_workflow_handle(name).terminate("the next test begins")


@asynccontextmanager
async def working(client: Client, world: World) -> AsyncIterator[None]:
    """Workers of ours over a scripted world, behind the guard."""
    async with AsyncExitStack() as stack:
        for queue in (ids.CONTROL_QUEUE, ids.data_queue("default")):
            control = queue == ids.CONTROL_QUEUE
            worker = Worker(
                client,
                task_queue=queue,
                workflows=WORKFLOWS if control else (),
                activities=[*world.all(), Lanes(client).request],
                interceptors=[FailureInterceptor(), *([Guard(PROOFS, SEALS)] if control else [])],
                workflow_failure_exception_types=[Failure],
            )
            await stack.enter_async_context(worker)
        yield


@dataclass
class Ground:
    """A guarded worker, its API, and a promotion that waits for production's gate."""

    client: Client
    api: httpx.AsyncClient
    promotion: Handle
    world: World
    runs: TemporalRuns

    @property
    def raw(self) -> Any:
        """Temporal, as anybody who reaches it finds it."""
        config: Any = {**self.client.config(), "interceptors": []}
        return Client(**config)

    def update(self, name: str, argument: object, workflow: str = "", update_id: str | None = None) -> Any:
        """A raw update, as `temporal workflow update execute` sends it."""
        handle = self.raw.get_workflow_handle(workflow or self.promotion.id)
        return handle.execute_update(name, argument, id=update_id, result_type=dict)


Waiting = Callable[..., Any]


class Listless(TemporalRuns):
    """Without what lets the API look for deleted components."""

    async def lanes(self) -> set[ComponentKey]:
        return set()


@pytest.fixture
def waiting(temporal: Client, tmp_path: Path) -> Waiting:
    """Everything up to a release that waits for production."""

    @asynccontextmanager
    async def until_gate(key: Ed25519PrivateKey = SERVER) -> AsyncIterator[Ground]:
        world = World()
        await forget(temporal)
        async with working(temporal, world):
            runs = Listless(temporal, Signer(key))
            async with serving(Parts(runs=cast(Any, runs)), tmp_path) as api:
                handle = await temporal.start_workflow(
                    Promotion.run,
                    PromotionRequest(release=release(1)),
                    id=ids.promotion(KEY, release(1).name),
                    task_queue=ids.CONTROL_QUEUE,
                )
                async with asyncio.timeout(60):
                    await phase(handle, "production", "at-gate")
                    await standing(temporal.get_workflow_handle(ids.lane(KEY, "production")))
                yield Ground(temporal, api, handle, world, runs)
        await forget(temporal)

    return until_gate


async def standing(lane: WorkflowHandle[Any, Any]) -> None:
    """Wait until a lane runs.

    Its namesake of the test before has ended, and who stands at the gate enters it a moment later.
    """
    while True:
        with suppress(RPCError):
            if (await lane.describe()).status == WorkflowExecutionStatus.RUNNING:
                return
        await asyncio.sleep(0.05)


async def phase(handle: Handle, name: str, wanted: str) -> None:
    """Wait until an environment of a promotion is in this phase."""
    while True:
        state = await handle.query(Promotion.state)
        if name in state.steps and state.steps[name].phase == wanted:
            return
        await asyncio.sleep(0.05)


async def lane_state(ground: Ground, name: str) -> LaneState:
    return await ground.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, name)).query(Lane.state)


async def refused(sending: Any) -> str:
    """Why an update is refused: its stable reason."""
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await sending
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.non_retryable
    return cause.type or ""


def proven(given: Any, key: Ed25519PrivateKey = SERVER, update: str = "approve", **changed: Any) -> Any:
    """An update's input with a proof; `changed` is what the statement says otherwise than it should."""
    workflow = ids.promotion(KEY, release(1).name)
    statement = stated(workflow, update, given, given.actor, time.time()).model_copy(update=changed)
    name = key_id(key.public_key().public_bytes_raw())
    proof = jwt.encode(statement.model_dump(mode="json"), key, algorithm="EdDSA", headers={"kid": name})
    return given.model_copy(update={"proof": proof})


async def signed(ground: Ground, action: str, body: dict[str, Any], **headers: str) -> Any:
    response = await ground.api.post(f"{STATEMENTS}/{action}", json=body, headers=authorized() | headers)
    assert response.status_code == 200, response.text
    return response.json()


async def test_what_the_api_accepts_is_done_by_a_raw_update_with_the_same_answer(waiting: Waiting) -> None:
    async with waiting() as ground:
        statement = await signed(ground, "approve", {"environment": "production", "reason": "looks well"})
        assert (statement["workflow"], statement["update"]) == (ground.promotion.id, "approve")
        assert (await ground.promotion.query(Promotion.state)).approvals == []
        answer = await ground.update("approve", statement["input"], update_id=statement["id"])
        assert (answer["accepted"], answer["reason"]) == (True, "Approved")
        ended = await ground.promotion.result()
        assert ended.steps["production"].phase == "healthy"
        [kept] = ended.approvals
        assert (kept.actor.name, kept.reason, kept.proof) == ("Ada", "looks well", "")


async def test_what_the_workflow_refuses_is_refused_for_the_same_reason_by_every_way(waiting: Waiting) -> None:
    async with waiting() as ground:
        body = {"environment": "production", "digest": release(2).digest}
        by_api = await ground.api.post(f"{BASE}/approve", json=body, headers=authorized())
        assert by_api.status_code == 409
        by_author = proven(approval(1, AUTHOR))
        assert await refused(ground.update("approve", by_author)) == "OwnCommit"
        assert await refused(ground.update("approve", proven(approval(2, ALICE)))) == "DigestMismatch"


async def test_the_command_line_s_statement_and_the_api_s_call_are_one_effect(waiting: Waiting) -> None:
    async with waiting() as ground:
        once = {"Idempotency-Key": "once"}
        statement = await signed(ground, "approve", {"environment": "production"}, **once)
        await ground.update("approve", statement["input"])
        again = await ground.update("approve", statement["input"])
        assert again["reason"] == "AlreadyAccepted"
        assert len((await ground.promotion.result()).approvals) == 1


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: approval(1, ALICE), "ProofMissing"),
        (lambda: approval(1, ALICE, proof="nonsense"), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), STRANGER), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), workflow="promotion/default/hello/other"), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), update="order"), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE)).model_copy(update={"actor": AUTHOR}), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE)).model_copy(update={"digest": release(2).digest}), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), actor=AUTHOR), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), expires=time.time() + 9999), "ProofInvalid"),
        (lambda: proven(approval(1, ALICE), issued=time.time() - 99), "ProofInvalid"),
    ],
    ids=[
        "no proof", "no statement", "a stranger's key", "for another workflow", "for another update",
        "by somebody else", "for another digest", "signed for somebody else", "for ever", "before it began",
    ],
)  # fmt: skip
async def test_a_forged_approval_opens_no_gate(waiting: Waiting, made: Callable[[], Any], reason: str) -> None:
    async with waiting() as ground:
        assert await refused(ground.update("approve", made())) == reason
        state = await ground.promotion.query(Promotion.state)
        assert state.approvals == []
        assert state.steps["production"].phase == "at-gate"


async def test_a_statement_is_worth_nothing_after_its_time(waiting: Waiting) -> None:
    async with waiting() as ground:
        then = time.time() - LIFETIME_SECONDS - 1
        late = proven(approval(1, ALICE), issued=then, expires=then + LIFETIME_SECONDS)
        assert await refused(ground.update("approve", late)) == "ProofExpired"


async def test_who_may_only_look_gets_nothing_signed(waiting: Waiting) -> None:
    async with waiting() as ground:
        for token, status in ((VIEWING, 403), ("unknown", 401)):
            response = await ground.api.post(
                f"{STATEMENTS}/approve", json={"environment": "production"}, headers=authorized(token)
            )
            assert response.status_code == status


async def test_asking_for_a_signature_starts_nothing(waiting: Waiting) -> None:
    async with waiting() as ground:
        with only_signing(), pytest.raises(Problem, match="no update"):
            await ground.runs.cancel(ground.promotion.id)
        assert (await ground.promotion.query(Promotion.state)).steps["production"].phase == "at-gate"


async def test_an_order_of_a_lane_is_proven_as_well(waiting: Waiting) -> None:
    async with waiting() as ground:
        response = await ground.api.post(f"{BASE}/lanes/staging/hold", json={"reason": "x"}, headers=authorized())
        assert response.status_code == 200, response.text
        held = await lane_state(ground, "staging")
        assert held.hold is not None
        assert held.hold.actor.name == "Ada"
        raw = {"id": "r", "kind": "resume", "actor": {"kind": "person", "name": "mallory", "roles": ["admin"]}}
        assert await refused(ground.update("order", raw, ids.lane(KEY, "staging"))) == "ProofMissing"
        assert (await lane_state(ground, "staging")).hold is not None


async def test_the_server_s_next_key_counts_before_the_old_one_goes(waiting: Waiting) -> None:
    async with waiting(NEXT) as ground:
        statement = await signed(ground, "approve", {"environment": "production"})
        answer = await ground.update("approve", statement["input"])
        assert answer["reason"] == "Approved"


def deploy(number: int) -> LaneRequest:
    step = EnvironmentStep(environment="production", sources=("staging",), production=True)
    return LaneRequest(
        id=f"forged-{number}", kind="deploy", component=COMPONENT, step=step, release=release(number)
    )


async def test_a_raw_signal_opens_no_gate_now_or_on_replay(waiting: Waiting) -> None:
    async with waiting() as ground:
        lane = ground.raw.get_workflow_handle(ids.lane(KEY, "production"))
        raw = ground.raw.get_workflow_handle(ground.promotion.id)
        await lane.signal("request", deploy(1))
        await lane.signal("retire")
        healthy = LaneSettled(request="x", environment="production", result="healthy")
        await raw.signal("settled", healthy)
        # What follows is worked off after the signals, so they have been seen by then.
        statement = await signed(ground, "approve", {"environment": "production"})
        assert ground.world.applied.count(("production", release(1).name)) == 0
        await ground.update("approve", statement["input"])
        ended = await ground.promotion.result()
        assert "x" not in ended.settled
        state = await settle(ground, "production", 1)
        assert [entry.release.name for entry in state.history] == [release(1).name]
        assert "forged-1" not in state.recent
        for handle in (lane, raw):
            await replay(await handle.fetch_history())
        recorded = await lane.fetch_history()
        assert sum(map(refusal_recorded, recorded.events)) == 2


def refusal_recorded(event: HistoryEvent) -> bool:
    marker = event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED
    return marker and b"refused-signal" in event.SerializeToString()


async def test_a_seal_fits_one_signal_only(waiting: Waiting) -> None:
    """What somebody lifts from a history, which tells headers too, opens nothing else."""
    async with waiting() as ground:
        lane = ground.raw.get_workflow_handle(ids.lane(KEY, "production"))
        recorded = await lane.fetch_history()
        [begun] = [
            each for each in recorded.events if each.HasField("workflow_execution_signaled_event_attributes")
        ]
        headers = dict(begun.workflow_execution_signaled_event_attributes.header.fields)
        assert "towpath-seal" in headers

        class Lifting(Interceptor):
            def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
                class Outbound(OutboundInterceptor):
                    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
                        input.headers = headers
                        await super().signal_workflow(input)

                return Outbound(next)

        config: Any = {**ground.client.config(), "interceptors": [Lifting()]}
        thief = Client(**config)
        await thief.get_workflow_handle(ids.lane(KEY, "production")).signal("request", deploy(1))
        await thief.get_workflow_handle(ids.lane(KEY, "staging")).signal("request", deploy(2))
        statement = await signed(ground, "lanes/staging/hold", {})
        await ground.update("order", statement["input"], ids.lane(KEY, "staging"))
        for name in ("production", "staging"):
            state: LaneState = await lane_state(ground, name)
            assert not [each for each in state.recent if each.startswith("forged")]
        assert ("production", release(1).name) not in ground.world.applied


async def settle(ground: Ground, name: str, revision: int) -> LaneState:
    """Wait until a lane has closed a revision."""
    async with asyncio.timeout(60):
        while True:
            state = await lane_state(ground, name)
            if any(entry.number == revision and entry.finished_at for entry in state.history):
                return state
            await asyncio.sleep(0.05)


async def replay(recorded: WorkflowHistory, guard: Guard | None = None) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_failure_exception_types=[Failure],
        interceptors=[guard or Guard({}, ELSEWHERE)],
    )
    await replayer.replay_workflow(recorded)


@workflow.defn(sandboxed=False)
class Chain:
    """Continues as new, then waits."""

    @workflow.run
    async def run(self, more: int) -> None:
        if more:
            workflow.continue_as_new(more - 1)
        await workflow.wait_condition(lambda: False)


async def test_a_later_run_knows_when_the_first_began(temporal: Client) -> None:
    """What was sealed for the first run counts in all that continue it, however much later."""
    name = f"chain-{uuid.uuid4().hex}"
    async with Worker(temporal, task_queue=name, workflows=[Chain], interceptors=[Guard(PROOFS, SEALS)]):
        begun = await temporal.start_workflow(Chain.run, 2, id=name, task_queue=name)
        first = await started(temporal.get_workflow_handle(name, run_id=begun.first_execution_run_id))
        latest = temporal.get_workflow_handle(name)
        data = b""
        async with asyncio.timeout(60):
            while data != b"0":
                last = (await started(latest)).workflow_execution_started_event_attributes
                data = last.input.payloads[0].data
        carried = PayloadConverter.default.from_payload(last.header.fields[BEGAN], float)
        assert carried == pytest.approx(first.event_time.ToNanoseconds() / 1e9, abs=0.001)
        await latest.terminate("seen")


async def started(handle: WorkflowHandle[Any, Any]) -> HistoryEvent:
    """The first event of a run."""
    return (await handle.fetch_history()).events[0]


async def test_a_story_replays_after_every_key_has_been_changed(waiting: Waiting) -> None:
    async with waiting() as ground:
        statement = await signed(ground, "approve", {"environment": "production"})
        await ground.update("approve", statement["input"])
        await ground.promotion.result()
        lane = ground.client.get_workflow_handle_for(Lane.run, ids.lane(KEY, "production"))
        await settle(ground, "production", 1)
        for handle in (ground.promotion, lane):
            await replay(await handle.fetch_history(), Guard({}, ELSEWHERE))
