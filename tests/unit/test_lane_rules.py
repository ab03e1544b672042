"""A lane under random pushes, approvals, holds, failures, rollbacks, alarms and restarts keeps its promises."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from model import lane_back, lane_orders, lane_queue, lane_rules
from model.lane import Order
from tests.lanes import PERSON, LaneMachine, release

LaneMachine.TestCase.settings = settings(
    max_examples=2000, stateful_step_count=25, deadline=None, database=None, derandomize=True
)
TestLane = LaneMachine.TestCase


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (lane_queue, "first_time", lambda _state, _request: True),
        (lane_orders, "first_time", lambda _state, _request: True),
        (lane_queue, "_supersede_older", lambda _state, _request: []),
        (lane_queue, "_against", lambda _state, _request: None),
        (lane_rules, "next_up", lambda state: state.waiting[0] if state.waiting else None),
        (lane_queue, "settle", lambda _state, _now: []),
        (lane_queue, "_before_the_gate", lambda _state: []),
        (lane_orders, "_refuse_deploy", lambda _state, _order: None),
        (lane_rules, "settle_undecided", lambda _state, _closed, _request: []),
        (lane_queue, "no_longer_healthy", lambda _state, _alarm: None),
        (lane_rules, "no_longer_healthy", lambda _state, _alarm: None),
        (lane_back, "_before", lambda state, _number, _release: next(iter(state.history[::-1]), None)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, broken: object
) -> None:
    """The proof that the machine can fail: take away the dedupe, the superseding, the floor, the hold …"""
    monkeypatch.setattr(module, name, broken)
    quick = settings(
        max_examples=1000,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
    )
    with pytest.raises(Exception):  # noqa: B017, PT011  (whichever promise breaks first)
        run_state_machine_as_test(LaneMachine, settings=quick)


def test_a_hold_sends_every_promotion_of_a_release_before_the_gate_once() -> None:
    """What Hypothesis once found in ten thousand lives: two promotions of one release, one of them pinned."""
    machine = LaneMachine()
    asked = [
        machine.send(kind="deploy", release=release(1), pinned=pinned, hand_back=True) for pinned in (True, False)
    ]
    machine.take(Order(id="hold", kind="hold", actor=PERSON))
    machine.every_promotion_is_settled_or_seen()
    assert [request.id for request in machine.state.candidates] == [request.id for request in asked]
    machine.take(Order(id="resume", kind="resume", actor=PERSON))
    assert machine.state.held == []


def test_what_is_marked_bad_is_not_taken_as_healthy() -> None:
    """Found in ten thousand lives as well: marked while it came, and nobody can tell how it does."""
    machine = LaneMachine()
    machine.send(kind="deploy", release=release(1))
    machine.approved.add(release(1).name)
    machine.start()
    machine.mark(0, False)
    machine.end("inconclusive")
    against = lane_orders.refuse_order(machine.state, Order(id="accept", kind="accept", actor=PERSON))
    assert against is not None
    assert against.reason == "ReleaseMarkedBad"
