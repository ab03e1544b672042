"""One push is one trace, from the webhook to the rollouts, and nothing secret is in it."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.util._once import Once
from temporalio.api.enums.v1 import EventType
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from model import ids
from model.delivery import DeliveryState
from model.failure import InfrastructureFailure
from model.lane import Order
from model.promotion import PromotionState
from tests.collector import Collector, attribute, collecting
from tests.triggers.serving import SECRET, Parts, git_push, post_git, serving, signed
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, deliver, order, settle
from tests.workflows.world import KEY, World, pipeline, release
from triggers.starter import TemporalStarter
from triggers.webhooks import receiver
from worker.planes import WORKFLOWS
from worker.settings import Settings
from worker.spans import ATTRIBUTE_LIMIT
from worker.telemetry import tracing
from workflows.delivery import Delivery
from workflows.promotion import Promotion

HEADER = "_tracer-data"
PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.md").read_text()
PICTURE = PAGE.partition("```text\n")[2].partition("```")[0].splitlines()
ENVIRONMENTS = ("development", "staging", "production")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def connection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Tracing as a process turns it on, in tests that ask for a collector. A process sets its provider once; so
    that each test can, the place where OpenTelemetry keeps it is put back afterwards."""
    if "collector" not in request.fixturenames:
        yield {"plugins": tracing(Settings(otlp_endpoint=""), "towpath-test")}
        return
    running: Collector = request.getfixturevalue("collector")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    plugins = tracing(Settings(otlp_endpoint=f"{running.address}/"), "towpath-test")
    monkeypatch.setattr(receiver, "tracer", trace.get_tracer("towpath.triggers"))
    yield {"plugins": plugins}
    trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]


async def post(environment: WorkflowEnvironment, folder: Path, commit: str, **headers: str) -> httpx.Response:
    """A signed webhook to a real server on the real starter."""
    async with serving(Parts(), folder, starter=TemporalStarter(environment.client)) as client:
        response: httpx.Response = await post_git(client, git_push(after=commit), **headers)
        return response


async def shipped(environment: WorkflowEnvironment, delivery: str, world: World) -> PromotionState:
    """Wait until what was delivered has arrived."""
    handle = environment.client.get_workflow_handle_for(Delivery.run, delivery)
    state: DeliveryState = await handle.result()
    assert [built.phase for built in state.builds] == ["succeeded"], state
    name = world.releases[-1].name
    return await environment.client.get_workflow_handle_for(Promotion.run, ids.promotion(KEY, name)).result()


def flush() -> None:
    """Have everything sent now instead of seconds later."""
    assert trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


async def test_a_push_is_one_trace_from_webhook_to_rollouts(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        for number in (1, 2):
            response = await post(environment, tmp_path, f"{number:040x}")
            await shipped(environment, response.json()["workflow"], world)
    flush()
    assert collector.paths == {"/v1/traces"}
    assert collector.services == {"towpath-test"}
    roots = sorted(named(collector.spans, "webhook git"), key=lambda span: span.start_time_unix_nano)
    assert [(root.kind, root.parent_span_id) for root in roots] == [(Span.SPAN_KIND_SERVER, b"")] * 2
    assert roots[0].trace_id != roots[1].trace_id
    for revision, root in enumerate(roots, start=1):
        spans = collector.trace(root)
        rollouts = named(spans, "RunWorkflow:Rollout")
        assert {attribute(span, "temporalWorkflowID") for span in rollouts} == {
            ids.rollout(KEY, environment, revision) for environment in ENVIRONMENTS
        }
        names = {span.name for span in spans}
        assert {f"RunWorkflow:{kind}" for kind in ("Delivery", "Build", "Promotion")} < names
        done = ("source.changes", "builds.submit", "builds.watch", "resources.record_release", "lanes.request")
        assert {f"RunActivity:{name}" for name in done} < names
        assert {attribute(span, "temporalWorkflowID") for span in named(spans, "StartChildWorkflow:Rollout")} == {
            ids.lane(KEY, environment) for environment in ENVIRONMENTS
        }
        for step in ("cluster.apply", "cluster.watch", "verification.verify"):
            assert len(named(spans, f"RunActivity:{step}")) == 3
    [*applied] = named(collector.trace(roots[1]), "RunActivity:cluster.apply")
    for span in applied:
        assert collector.path(span) == PICTURE
    answers = named(collector.trace(roots[1]), "SignalExternalWorkflow:settled")
    assert {attribute(span, "temporalWorkflowID") for span in answers} == {
        ids.lane(KEY, environment) for environment in ENVIRONMENTS
    }


async def test_a_persons_rollback_is_a_trace_of_its_own(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        for number in (1, 2):
            response = await post(environment, tmp_path, f"{number:040x}")
            await shipped(environment, response.json()["workflow"], world)
        await order(environment, "production", Order(id="back", kind="rollback", actor=ALICE, revision=1))
        await settle(environment, "production", 3)
    flush()
    [ordered] = named(collector.spans, "StartWorkflowUpdate:order")
    [rollout] = named(collector.trace(ordered), "RunWorkflow:Rollout")
    assert attribute(rollout, "temporalWorkflowID") == ids.rollout(KEY, "production", 3)
    assert not [span for span in collector.spans if "Query" in span.name]


async def test_a_lane_that_goes_on_has_not_ended(
    serve: Serve, collector: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its worker stops, and with it the lane's state in memory; the span is sent when the lane ends."""
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        response = await post(environment, tmp_path, f"{1:040x}")
        await shipped(environment, response.json()["workflow"], world)
    gc.collect()
    flush()
    assert named(collector.spans, "RunWorkflow:Promotion")
    assert not named(collector.spans, "RunWorkflow:Lane")
    assert [record for record in caplog.records if record.name == "opentelemetry.context"] == []


@pytest.mark.parametrize("cached", [0, 1])
async def test_replay_sends_no_span_twice(serve: Serve, collector: Collector, tmp_path: Path, cached: int) -> None:
    """Without a cache every step is a replay, of every push. A task that the server hands out once more, since it
    lost the answer on a busy machine, may be told once more: not every one of three pushes meets that."""
    world = World(pipeline=pipeline(approvals=0))
    repeated: list[int] = []
    async with serve(world, max_cached_workflows=cached) as environment:
        for number in (1, 2, 3):
            response = await post(environment, tmp_path, f"{number:040x}")
            await shipped(environment, response.json()["workflow"], world)
            flush()
            # A ledger is asked while it may not be remembered: the signals of its last task are told once more
            # then, under the same ids.
            told = [span for span in collector.spans if span.name != "HandleSignal:record"]
            sent = [(span.trace_id, span.span_id) for span in told]
            repeated.append(len(sent) - len(set(sent)) - sum(repeated))
            if not repeated[-1]:
                break
    assert 0 in repeated
    root = named(collector.spans, "webhook git")[-1]
    spans = list({span.span_id: span for span in collector.trace(root)}.values())
    assert len(named(spans, "RunActivity:cluster.apply")) == len(named(spans, "RunWorkflow:Rollout")) == 3
    for span in named(spans, "RunActivity:cluster.apply"):
        assert collector.path(span)[0] == "webhook git"


async def test_tracing_can_be_turned_off_under_running_workflows(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        response = await post(environment, tmp_path, f"{1:040x}")
        delivery = response.json()["workflow"]
        await shipped(environment, delivery, world)
        [made] = world.releases
        names = (
            delivery, made.build, ids.promotion(KEY, made.name), ids.lane(KEY, "development"),
            ids.rollout(KEY, "development", 1),
        )  # fmt: skip
        histories = [await environment.client.get_workflow_handle(name).fetch_history() for name in names]
    assert all(HEADER in history.to_json() for history in histories)
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter)
    for history in histories:
        await replayer.replay_workflow(history)


async def test_nothing_secret_and_nothing_big_is_in_a_span(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    try:
        raise RuntimeError("https://robot:hunter2@registry.test answered 401")
    except RuntimeError as error:
        cause = error
    failure = InfrastructureFailure("Away", "x" * 100_000)
    failure.__cause__ = cause
    world = World(pipeline=pipeline(approvals=0), apply_failures=[failure])
    async with serve(world) as environment:
        response = await post(environment, tmp_path, f"{1:040x}", Authorization="Bearer hunter3")
        await shipped(environment, response.json()["workflow"], world)
        refused = await post(environment, tmp_path, f"{2:040x}", X_Hub_Signature_256="sha256=" + "0" * 64)
        assert refused.status_code == 401
    flush()
    sent = b"".join(collector.bodies)
    assert b"InfrastructureFailure" in sent
    outcomes = [attribute(span, "towpath.outcome") for span in named(collector.spans, "webhook git")]
    assert outcomes == ["Accepted", "SignatureWrong"]
    for secret in (SECRET, signed(b""), "hunter2", "hunter3", "dev@example.test", "change 1"):
        assert secret.encode() not in sent, secret
    values = [
        each.value.string_value
        for span in collector.spans
        for each in (*span.attributes, *(inner for event in span.events for inner in event.attributes))
    ]
    assert max(map(len, values)) <= ATTRIBUTE_LIMIT
    assert max(len(span.status.message) for span in collector.spans) < 3000


async def test_without_an_endpoint_nothing_is_traced(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await deliver(environment, 1)
        [made] = world.releases
        await environment.client.get_workflow_handle(ids.promotion(KEY, made.name)).result()
        lane = environment.client.get_workflow_handle(ids.lane(KEY, "development"))
        history = await lane.fetch_history()
    assert release(1).commit == made.commit
    kinds = {event.event_type for event in history.events}
    assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED in kinds
    text = history.to_json()
    assert HEADER not in text
    assert "traceparent" not in text or '"traceparent":""' in text
