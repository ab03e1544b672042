"""Every rule of a gate, in skipped time: what opens it, what keeps it shut, and what a person sees meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from model import ids
from model.actor import Actor
from model.external import External
from model.failure import UserFailure
from model.gate import Approval, GateItem, GateState, GateSubject, Recheck, refusal
from model.key import ComponentKey
from model.lane import LaneRequest, LaneState, Order
from model.pipeline import EnvironmentStep, Pipeline
from model.policy import StepPolicy
from model.promotion import PromotionState
from model.question import ExternalAnswer
from model.requirement import Requirement
from model.window import Freeze, Window
from tests.workflows.conftest import Serve
from tests.workflows.test_story import ALICE, BOB, approval, approve, lane_state, order, phase, promote, settle
from tests.workflows.world import COMPONENT, World, pipeline, release
from workflows.lane import Lane
from workflows.promotion import Promotion

HOUR, DAY = 3600.0, 86_400.0
BERLIN = ZoneInfo("Europe/Berlin")
CHIEF = Actor(kind="person", name="carol", email="carol@example.test", roles=("chief",))
Walk = WorkflowHandle[Promotion, PromotionState]


async def now(environment: WorkflowEnvironment) -> float:
    return (await environment.get_current_time()).timestamp()


async def gate_of(
    environment: WorkflowEnvironment, walk: Walk, right: Callable[[GateState], object], where: str = "production"
) -> GateState:
    """Wait until a gate looks right."""
    while True:
        state = await walk.query(Promotion.state)
        step = state.steps.get(where)
        if step is not None and step.phase == "at-gate" and step.gate is not None and right(step.gate):
            return step.gate
        await asyncio.sleep(0.02)


def item(gate: GateState, kind: str, name: str = "") -> GateItem:
    return next(each for each in gate.requirements if each.kind == kind and each.name in ("", name or each.name))


def reason(kind: str, wanted: str) -> Callable[[GateState], bool]:
    return lambda gate: any(each.kind == kind and each.reason == wanted for each in gate.requirements)


async def refused(sent: Awaitable[object]) -> str | None:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await sent
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.type


async def test_a_restart_in_hour_47_of_a_48_hour_soak_starts_it_again(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0, soak_seconds=48 * HOUR))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        waiting = await gate_of(environment, walk, reason("soak", "Soaking"))
        healthy = (await lane_state(environment, "staging")).history[-1].finished_at
        assert item(waiting, "soak").name == "staging"
        await environment.sleep(timedelta(hours=47))
        restarted = world.restarts["staging"] = await now(environment)
        ended = await walk.result()
        assert ended.steps["production"].phase == "healthy"
        went_in = (await lane_state(environment, "production")).history[-1].started_at
        assert went_in >= restarted + 48 * HOUR
        assert went_in < restarted + 48 * HOUR + 60, "and not later than it must"
        assert went_in >= healthy + 95 * HOUR - 60


async def test_a_release_that_leaves_its_source_does_not_soak_there(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0))
    async with serve(world) as environment:
        await (await promote(environment, 1)).result()
        world.pipeline = pipeline(approvals=0, soak_seconds=2 * HOUR)
        walk = await promote(environment, 2)
        await gate_of(environment, walk, reason("soak", "Soaking"))
        await environment.sleep(timedelta(hours=1))
        await order(environment, "staging", Order(id="back", kind="rollback", actor=ALICE, revision=1))
        await settle(environment, "staging", 3)
        await environment.sleep(timedelta(hours=2))
        gone = await gate_of(environment, walk, reason("soak", "NotInSource"))
        assert "hello-1" in item(gone, "soak").message
        await order(environment, "staging", Order(id="again", kind="rollback", actor=ALICE, revision=2))
        back = (await settle(environment, "staging", 4)).history[-1].finished_at
        assert (await walk.result()).steps["production"].phase == "healthy"
        assert (await lane_state(environment, "production")).history[-1].started_at >= back + 2 * HOUR


async def test_a_freeze_over_a_change_of_clocks_opens_by_the_wall_clock(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        change = next_change(await now(environment))
        midnight = change.replace(hour=0, minute=0, second=0)
        end = midnight + timedelta(days=1)  # wall clock arithmetic: the next midnight, 23 or 25 hours later
        freeze = Freeze(
            start=midnight.timestamp(),
            end=end.timestamp(),
            zone="Europe/Berlin",
            reason="clocks",
            source="Freeze clocks",
        )
        world.pipeline = pipeline(approvals=0, freezes=(freeze,), origins={"freezes": "Freeze clocks"})
        await environment.sleep(timedelta(seconds=midnight.timestamp() + 60 - await now(environment)))
        walk = await promote(environment, 1)
        frozen = await gate_of(environment, walk, reason("freeze", "Frozen"))
        held = item(frozen, "freeze")
        assert (held.until, held.source) == (end.timestamp(), "Freeze clocks")
        assert end.strftime("%Y-%m-%d 00:00 Europe/Berlin") in held.message
        assert (await walk.result()).steps["production"].phase == "healthy"
        went_in = (await lane_state(environment, "production")).history[-1].started_at
        assert went_in >= end.timestamp()
        assert went_in - midnight.timestamp() >= (25 if change.month > 6 else 23) * HOUR


def next_change(after: float) -> datetime:
    """The next change of Berlin's clocks."""
    moment = datetime.fromtimestamp(after, UTC) + timedelta(days=2)
    while moment.astimezone(BERLIN).utcoffset() == (moment + timedelta(hours=1)).astimezone(BERLIN).utcoffset():
        moment += timedelta(hours=1)
    return moment.astimezone(BERLIN)


def window(opens: float, closes: float) -> Window:
    """Open once a week between two moments (by UTC's clocks)."""
    first, last = datetime.fromtimestamp(opens, UTC), datetime.fromtimestamp(closes, UTC)
    start, end = first.hour * 60 + first.minute, last.hour * 60 + last.minute
    return Window(days=(first.weekday(),), start=start, end=end, zone="UTC")


async def test_an_approval_that_expires_while_the_window_is_closed_must_be_given_again(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        opens = (await now(environment)) // DAY * DAY + 3 * DAY + 10 * HOUR
        world.pipeline = pipeline(windows=(window(opens, opens + 2 * HOUR),), approval_lasts_seconds=DAY)
        walk = await promote(environment, 1)
        await gate_of(environment, walk, reason("window", "OutsideWindow"))
        await approve(walk, approval(1))
        approved = await gate_of(environment, walk, reason("approvals", "Approved"))
        assert not approved.open
        assert item(approved, "window").until == opens
        await environment.sleep(timedelta(seconds=opens + 60 - await now(environment)))
        lapsed = await gate_of(environment, walk, reason("window", "WindowOpen"))
        assert item(lapsed, "approvals").reason == "AwaitingApproval"
        assert "production" not in world.running
        await approve(walk, approval(1, id="again"))
        assert (await walk.result()).steps["production"].phase == "healthy"
        went_in = (await lane_state(environment, "production")).history[-1].started_at
        assert opens <= went_in < opens + 2 * HOUR


async def test_an_approval_outside_the_window_lets_it_in_when_the_window_opens(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        opens = (await now(environment)) // DAY * DAY + 3 * DAY + 10 * HOUR
        world.pipeline = pipeline(windows=(window(opens, opens + 2 * HOUR),))
        walk = await promote(environment, 1)
        await gate_of(environment, walk, reason("window", "OutsideWindow"))
        await approve(walk, approval(1))
        assert (await walk.result()).steps["production"].phase == "healthy"
        went_in = (await lane_state(environment, "production")).history[-1].started_at
        assert opens <= went_in < opens + 60


async def test_two_approvals_racing_with_a_newer_release_never_let_the_older_one_in_after_it(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        first = await promote(environment, 1)
        await phase(environment, first, "production", "at-gate")
        await approve(first, approval(1))
        second = await promote(environment, 2)

        async def second_approval() -> None:
            await phase(environment, second, "production", "at-gate")
            # Whichever comes first: the gate is passed, or the newer release has voided what was said.
            with suppress(WorkflowUpdateFailedError, RPCError):
                await approve(first, approval(1, BOB))

        _, older = await asyncio.gather(second_approval(), first.result())
        went_in = older.steps["production"].phase == "healthy"
        assert went_in or older.steps["production"].phase == "superseded"
        await phase(environment, second, "production", "at-gate")
        assert await refused(approve(second, approval(1, BOB, id="old-digest"))) == "DigestMismatch"
        given = (await second.query(Promotion.state)).steps["production"].gate
        assert given is not None
        assert given.given == 0, "what was said of the older release counts for nothing"
        await approve(second, approval(2))
        await approve(second, approval(2, BOB))
        await second.result()
        applied = [name for place, name in world.applied if place == "production"]
        assert applied == (["hello-1", "hello-2"] if went_in else ["hello-2"])


async def test_a_newer_release_at_the_gate_voids_an_approval_that_was_given(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        first = await promote(environment, 1)
        await phase(environment, first, "production", "at-gate")
        await approve(first, approval(1))
        second = await promote(environment, 2)
        assert (await first.result()).steps["production"].phase == "superseded"
        gate = await gate_of(environment, second, lambda gate: gate.needed == 2)
        assert gate.given == 0
        assert "production" not in world.running


async def test_both_approvals_at_once_are_one_deployment(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        await asyncio.gather(approve(walk, approval(1)), approve(walk, approval(1, BOB)))
        assert (await walk.result()).steps["production"].phase == "healthy"
        assert [place for place, _ in world.applied].count("production") == 1


async def test_a_revoked_approval_does_not_count(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        assert await refused(approve(walk, approval(1, kind="revoke", id="too-early"))) == "NothingToRevoke"
        await approve(walk, approval(1))
        answer = await approve(walk, approval(1, kind="revoke", id="no-longer", reason="saw the graphs"))
        assert answer.reason == "Revoked"
        await approve(walk, approval(1, BOB))
        gate = await gate_of(environment, walk, lambda gate: gate.given == 1)
        assert not gate.open
        assert "production" not in world.running
        await approve(walk, approval(1, id="after-all"))
        ended = await walk.result()
        assert ended.steps["production"].phase == "healthy"
        assert [word.reason for word in ended.approvals if word.kind == "revoke"] == ["saw the graphs"]


async def test_a_freeze_gives_way_to_a_role_with_a_reason_that_is_kept(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        present = await now(environment)
        freeze = Freeze(start=present - HOUR, end=present + 9 * DAY, reason="holidays")
        world.pipeline = pipeline(freezes=(freeze,), override_roles=("chief",))
        walk = await promote(environment, 1)
        await gate_of(environment, walk, reason("freeze", "Frozen"))
        why = "fixes the outage"
        assert await refused(approve(walk, approval(1, kind="override", reason=why))) == "RoleMissing"
        assert await refused(approve(walk, approval(1, CHIEF, kind="override", id="why"))) == "ReasonMissing"
        await approve(walk, approval(1, CHIEF, id="past", kind="override", reason=why))
        overridden = await gate_of(environment, walk, reason("freeze", "Overridden"))
        assert not overridden.open, "an override is no approval"
        await approve(walk, approval(1))
        ended = await walk.result()
        assert ended.steps["production"].phase == "healthy"
        assert await now(environment) < present + DAY
        [kept] = [word for word in ended.approvals if word.kind == "override"]
        assert (kept.actor.name, kept.reason) == ("carol", "fixes the outage")
        [told] = [note for note in world.notes if note.reason == "Overridden"]
        assert "carol" in told.message
        assert "fixes the outage" in told.message


async def test_approvals_given_under_other_rules_must_be_given_again(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=2))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        await approve(walk, approval(1))
        world.pipeline = pipeline(approvals=3)
        await walk.signal(Promotion.recheck, Recheck(reason="PolicyChanged"))
        gate = await gate_of(environment, walk, lambda gate: gate.needed == 3)
        assert gate.given == 0
        assert "1 given before must be given again" in gate.message


async def test_nobody_goes_in_under_rules_that_were_tightened_unnoticed(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=1))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        world.pipeline = pipeline(approvals=2, approver_roles=("release",))
        await approve(walk, approval(1))
        gate = await gate_of(environment, walk, lambda gate: gate.needed == 2)
        assert (gate.given, gate.open) == (0, False)
        assert "production" not in world.running
        await approve(walk, approval(1, id="again"))
        await approve(walk, approval(1, BOB))
        assert (await walk.result()).steps["production"].phase == "healthy"


async def test_a_freeze_that_comes_while_a_release_is_on_its_way_holds_it(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=0), apply_gate=asyncio.Event())
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "development", "deploying")
        present = await now(environment)
        world.pipeline = pipeline(approvals=0, freezes=(Freeze(start=present - 1, end=present + 2 * DAY),))
        assert world.apply_gate is not None
        world.apply_gate.set()
        await gate_of(environment, walk, reason("freeze", "Frozen"))
        assert (await walk.result()).steps["production"].phase == "healthy"
        assert (await lane_state(environment, "production")).history[-1].started_at >= present + 2 * DAY


async def test_rules_that_cannot_be_read_keep_the_gate_shut_and_say_why(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=1))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        broken = UserFailure("BadWindow", "PromotionPolicy p: spec.windows.deny: it never opens.")
        world.rules_failures = [broken]
        await approve(walk, approval(1))
        gate = await gate_of(environment, walk, reason("policy", "BadWindow"))
        assert "spec.windows.deny" in gate.message
        assert "production" not in world.running
        assert (await walk.result()).steps["production"].phase == "healthy", "it is read again"


async def test_an_environment_that_is_gone_from_the_pipeline_ends_the_wait(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=1))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "production", "at-gate")
        world.pipeline = Pipeline(name="default", steps=world.pipeline.steps[:2])
        await walk.signal(Promotion.recheck, Recheck())
        ended = await walk.result()
        assert ended.steps["production"].phase == "skipped"
        assert ended.steps["production"].reason == "EnvironmentGone"
        assert (await lane_state(environment, "production")).candidates == []


API = ComponentKey(name="api")


async def deploy_api(environment: WorkflowEnvironment, number: int, step: EnvironmentStep) -> None:
    """Have another component's lane run a release, and wait until it does."""
    made = release(number).model_copy(update={"component": API, "name": f"api-{number}"})
    request = LaneRequest(
        id=f"api-{number}",
        kind="deploy",
        component=COMPONENT.model_copy(update={"key": API}),
        step=step,
        release=made,
    )
    await environment.client.start_workflow(
        Lane.run,
        LaneState(),
        id=ids.lane(API, step.environment),
        task_queue=ids.CONTROL_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="request",
        start_signal_args=[request],
    )
    lane = environment.client.get_workflow_handle_for(Lane.run, ids.lane(API, step.environment))
    while True:
        state = await lane.query(Lane.state)
        if state.last_good is not None and state.last_good.name == made.name and not state.deploying:
            return
        await asyncio.sleep(0.02)


async def test_a_component_waits_for_another_one_of_its_project(serve: Serve) -> None:
    requires = (Requirement(component="api", same_commit=True),)
    world = World(pipeline=pipeline(approvals=0, requires=requires))
    async with serve(world) as environment:
        step = EnvironmentStep(environment="production")
        walk = await promote(environment, 2)
        absent = await gate_of(environment, walk, reason("requires", "RequirementNotHealthy"))
        assert "never been deployed" in absent.message
        await deploy_api(environment, 1, step)
        await walk.signal(Promotion.recheck, Recheck())
        older = await gate_of(environment, walk, reason("requires", "RequirementOlder"))
        assert "api in production" in older.message
        await deploy_api(environment, 2, step)
        # Nobody tells it this time: it looks again by itself.
        assert (await walk.result()).steps["production"].phase == "healthy"


async def test_production_wants_the_same_release_from_every_branch(serve: Serve) -> None:
    diamond = Pipeline(
        name="default",
        steps=(
            EnvironmentStep(environment="development"),
            EnvironmentStep(environment="europe", sources=("development",), policy=StepPolicy(approvals=1)),
            EnvironmentStep(environment="america", sources=("development",)),
            EnvironmentStep(environment="production", sources=("europe", "america")),
        ),
    )
    world = World(pipeline=diamond)
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        await phase(environment, walk, "america", "healthy")
        await phase(environment, walk, "europe", "at-gate")
        assert (await walk.query(Promotion.state)).steps["production"].phase == "pending"
        await approve(walk, approval(1, environment="europe"))
        assert (await walk.result()).steps["production"].phase == "healthy"


def answers(*kinds: str) -> list[ExternalAnswer]:
    return [
        ExternalAnswer.model_validate({"name": "budget", "answer": kind, "reason": "Said", "message": f"{kind}!"})
        for kind in kinds
    ]


BUDGET = External(name="budget", url="http://budget.test/ask", retry_seconds=600, limit_seconds=3600)


async def test_an_outside_answer_is_asked_for_last_and_until_it_is_yes(serve: Serve) -> None:
    world = World(pipeline=pipeline(approvals=1, external=(BUDGET,)), answers=answers("no", "error"))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        gate = await gate_of(environment, walk, reason("external", "NotAsked"))
        assert not gate.open
        assert world.asked == [], "nobody is bothered before people have approved"
        await approve(walk, approval(1))
        approved = await now(environment)
        await gate_of(environment, walk, reason("external", "ExternalRefuses"))
        assert (await walk.result()).steps["production"].phase == "healthy"
        assert len(world.asked) == 3
        assert len({question.id for question in world.asked}) == 3
        assert {question.digest for question in world.asked} == {release(1).digest}
        went_in = (await lane_state(environment, "production")).history[-1].started_at
        assert went_in >= approved + 2 * 600 - 1


@pytest.mark.parametrize(("kind", "wanted"), [("no", "ExternalRefused"), ("error", "ExternalUnanswered")])
async def test_an_outside_answer_that_is_never_yes_turns_the_release_away(
    serve: Serve, kind: str, wanted: str
) -> None:
    world = World(pipeline=pipeline(approvals=0, external=(BUDGET,)), answers=answers(*[kind] * 20))
    async with serve(world) as environment:
        walk = await promote(environment, 1)
        ended = await walk.result()
        assert ended.steps["production"].phase == "rejected"
        assert ended.steps["production"].reason == wanted
        assert f"{kind}!" in ended.steps["production"].message
        assert "production" not in world.running
        assert len(world.asked) == 6, "every ten minutes for an hour"


async def test_all_rules_are_shown_at_once_with_what_each_of_them_misses(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        present = await now(environment)
        world.pipeline = pipeline(
            approvals=2,
            soak_seconds=DAY,
            freezes=(Freeze(start=present - 1, end=present + 3 * DAY),),
            requires=(Requirement(component="api"),),
            external=(BUDGET,),
            origins={"approvals": "PromotionPolicy p", "soak_seconds": "PromotionPolicy q"},
        )
        walk = await promote(environment, 1)
        gate = await gate_of(environment, walk, lambda gate: len(gate.requirements) == 5)
        assert [(each.kind, each.met) for each in gate.requirements] == [
            ("approvals", False), ("soak", False), ("requires", False), ("freeze", False), ("external", False),
        ]  # fmt: skip
        assert item(gate, "approvals").source == "PromotionPolicy p"
        assert item(gate, "soak").source == "PromotionPolicy q"
        assert item(gate, "freeze").until == pytest.approx(present + 3 * DAY)
        assert gate.changes_at > present


async def test_a_waiting_promotion_is_idle(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        present = await now(environment)
        freeze = Freeze(start=present - 1, end=present + 20 * DAY)
        world.pipeline = pipeline(approvals=1, soak_seconds=HOUR, freezes=(freeze,))
        walk = await promote(environment, 1)
        await gate_of(environment, walk, reason("freeze", "Frozen"))
        await environment.sleep(timedelta(hours=3))
        await gate_of(environment, walk, reason("soak", "Soaked"))
        before = len((await walk.fetch_history()).events)
        await environment.sleep(timedelta(days=10))
        more = len((await walk.fetch_history()).events) - before
        assert more <= 10 * 12, "once a day the rules are read again; nothing else happens"


def test_a_subject_of_two_releases_is_nobodys_own() -> None:
    """Whoever wrote one of them cannot approve both."""
    mine = release(1).model_copy(
        update={"commit": release(1).commit.model_copy(update={"author_email": ALICE.email})}
    )
    both = GateSubject(name="set", digest="d", releases=(release(2), mine))
    word = Approval(id="1", environment="production", digest="d", actor=ALICE)
    assert refusal(word, both, StepPolicy(approvals=1)) is not None
    assert refusal(word.model_copy(update={"actor": BOB}), both, StepPolicy(approvals=1)) is None


async def approved_and_held(environment: WorkflowEnvironment) -> Walk:
    """hello-1 runs in production, whose lane a person holds; hello-2 is approved and waits for the hold's end."""
    first = await promote(environment, 1)
    await phase(environment, first, "production", "at-gate")
    await approve(first, approval(1))
    await first.result()
    await order(environment, "production", Order(id="hold", kind="hold", actor=BOB, reason="audit"))
    walk = await promote(environment, 2)
    await phase(environment, walk, "production", "at-gate")
    await approve(walk, approval(2))
    held = await phase(environment, walk, "production", "held")
    assert "audit" in held.steps["production"].message
    return walk


RESUME = Order(id="on", kind="resume", actor=BOB)


async def test_an_approval_can_be_taken_back_while_the_lane_is_held(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        walk = await approved_and_held(environment)
        answer = await approve(walk, approval(2, kind="revoke", id="no-longer", reason="saw the graphs"))
        assert answer.reason == "Revoked"
        await order(environment, "production", RESUME)
        gate = await gate_of(environment, walk, lambda gate: not gate.open)
        assert gate.given == 0
        assert world.running["production"].name == "hello-1"
        await approve(walk, approval(2, id="after-all"))
        assert (await walk.result()).steps["production"].phase == "healthy"
        assert world.running["production"].name == "hello-2"


async def test_what_was_approved_before_a_hold_goes_in_after_it_under_the_rules_of_then(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        walk = await approved_and_held(environment)
        await order(environment, "production", RESUME)
        ended = await walk.result()
        assert (ended.steps["production"].phase, len(ended.approvals)) == ("healthy", 1)
        await order(environment, "production", Order(id="hold-2", kind="hold", actor=BOB))
        third = await promote(environment, 3)
        await phase(environment, third, "production", "at-gate")
        await approve(third, approval(3))
        await phase(environment, third, "production", "held")
        present = await now(environment)
        world.pipeline = pipeline(freezes=(Freeze(start=present - 1, end=present + 2 * DAY, reason="holidays"),))
        await order(environment, "production", Order(id="on-2", kind="resume", actor=BOB))
        await gate_of(environment, third, reason("freeze", "Frozen"))
        assert (await third.result()).steps["production"].phase == "healthy"
        assert (await lane_state(environment, "production")).history[-1].started_at >= present + 2 * DAY


async def test_a_newer_release_takes_the_place_of_one_that_a_hold_keeps_waiting(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        older = await approved_and_held(environment)
        newer = await promote(environment, 3)
        assert (await older.result()).steps["production"].phase == "superseded"
        await phase(environment, newer, "production", "at-gate")
        await order(environment, "production", RESUME)
        await approve(newer, approval(3))
        assert (await newer.result()).steps["production"].phase == "healthy"
        assert [name for place, name in world.applied if place == "production"] == ["hello-1", "hello-3"]


async def test_a_release_that_is_pinned_during_a_hold_stays_pinned_after_it(serve: Serve) -> None:
    world = World()
    async with serve(world) as environment:
        older = await approved_and_held(environment)
        await order(environment, "production", Order(id="pin", kind="pin", actor=ALICE, release=release(2)))
        newer = await promote(environment, 3)
        await phase(environment, newer, "production", "at-gate")
        await order(environment, "production", RESUME)
        assert (await older.result()).steps["production"].phase == "healthy"
        await approve(newer, approval(3))
        assert (await newer.result()).steps["production"].phase == "healthy"
        assert [name for place, name in world.applied if place == "production"][-2:] == ["hello-2", "hello-3"]
