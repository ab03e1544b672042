"""What scripts are told about a change: one word and a reason, whatever the story was."""

import pytest

from model.actor import Actor
from model.gate import GateState
from model.key import ComponentKey
from model.promotion import StepPhase, StepState
from tests.triggers.fakes import COMMIT, release
from triggers.progress import of_promotion, progress, progress_of_commit
from triggers.views import BuildView, PromotionView

KEY = ComponentKey(name="hello-world")


def build(phase: str, started_at: float = 10, release_name: str = "") -> BuildView:
    return BuildView(
        workflow="build/default/hello-world/x/1",
        component=str(KEY),
        commit=COMMIT,
        number=1,
        phase=phase,
        reason="Why",
        message="because",
        release=release_name,
        started_at=started_at,
    )


def walk(*phases: tuple[str, StepPhase], number: int = 1, started_at: float = 20) -> PromotionView:
    steps = tuple(StepState(environment=name, phase=phase, reason="Why", message="m") for name, phase in phases)
    return PromotionView(
        workflow=f"promotion/{number}",
        open=True,
        release=release(number),
        actor=Actor(),
        steps=steps,
        started_at=started_at,
    )


@pytest.mark.parametrize(
    ("phases", "state", "environment"),
    [
        ([("dev", "healthy"), ("prod", "healthy")], "done", "prod"),
        ([("dev", "deploying"), ("prod", "pending")], "moving", "dev"),
        ([("dev", "healthy"), ("prod", "at-gate")], "waiting", "prod"),
        ([("dev", "held"), ("prod", "pending")], "waiting", "dev"),
        ([("dev", "rolled-back"), ("prod", "skipped")], "failed", "dev"),
        ([("dev", "failed"), ("prod", "skipped")], "failed", "dev"),
        ([("dev", "healthy"), ("prod", "rejected")], "failed", "prod"),
        ([("dev", "healthy"), ("prod", "expired")], "failed", "prod"),
        ([("dev", "healthy"), ("prod", "superseded")], "done", "prod"),
        # A failed branch counts although another one still waits.
        ([("dev", "healthy"), ("eu", "at-gate"), ("us", "rolled-back")], "failed", "us"),
    ],
)
def test_a_walk_in_one_word(phases: list[tuple[str, StepPhase]], state: str, environment: str) -> None:
    found = of_promotion(KEY, walk(*phases))
    assert (found.state, found.environment) == (state, environment)
    assert found.message


def test_a_walk_up_to_an_environment_leaves_out_the_rest() -> None:
    found = of_promotion(KEY, walk(("dev", "healthy"), ("stage", "healthy"), ("prod", "at-gate")), until="stage")
    assert (found.state, found.environment) == ("done", "stage")


def test_a_gate_says_how_many_are_missing_and_what_to_type() -> None:
    gate = GateState(environment="prod", open=False, reason="AwaitingApproval", message="", needed=2, given=0)
    step = StepState(environment="prod", phase="at-gate", message="x", gate=gate)
    found = of_promotion(KEY, walk().model_copy(update={"steps": (step,)}))
    assert found.message == "prod: waits for 2 more approvals of 2"
    assert found.next == "towpath approve default/hello-world -e prod"


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("admitted", "moving"),
        ("running", "moving"),
        ("failed", "failed"),
        ("cancelled", "failed"),
        ("superseded", "moving"),
    ],
)
def test_a_newer_build_counts_more_than_an_older_walk(phase: str, state: str) -> None:
    found = progress(KEY, "", [build(phase, started_at=30)], [walk(("dev", "healthy"))])
    assert found.state == state


def test_an_older_failed_build_does_not_hide_what_a_person_promoted_since() -> None:
    found = progress(KEY, "", [build("failed", started_at=10)], [walk(("dev", "healthy"), started_at=20)])
    assert found.state == "done"


def test_a_built_release_is_judged_by_its_own_walk() -> None:
    made = build("succeeded", started_at=30, release_name=release(2).name)
    older = walk(("dev", "healthy"), number=1, started_at=20)
    assert progress(KEY, "", [made], [older]).state == "done"
    own = walk(("dev", "deploying"), number=2, started_at=31)
    assert progress(KEY, "", [made], [own, older]).state == "moving"


def test_nothing_yet_is_idle_and_an_invalid_component_has_failed() -> None:
    assert progress(KEY, "", [], []).state == "idle"
    invalid = progress(KEY, "spec.url: wrong", [], [])
    assert (invalid.state, invalid.message) == ("failed", "spec.url: wrong")


def test_a_superseded_commit_is_done_with() -> None:
    assert progress_of_commit(KEY, COMMIT, [build("superseded")], []).state == "done"
