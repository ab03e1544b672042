"""A lane under random pushes, approvals, holds, failures and rollbacks keeps its promises."""

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from model import lane_rules
from model.actor import AUTOMATION, Actor
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.lane import LaneRequest, LaneState, Order, Revision
from model.lane_rules import begin, finish, next_up, refuse_order, take_order, take_request
from model.pipeline import EnvironmentStep
from model.release import Release
from model.rollout import RolloutResult
from model.verdict import Verdict
from model.workload import Workload

KEY = ComponentKey(name="hello")
COMPONENT = Component(key=KEY)
STEP = EnvironmentStep(environment="production")
PERSON = Actor(kind="person", name="alice")


def release(number: int) -> Release:
    return Release(
        name=f"hello-{number}",
        component=KEY,
        project="default",
        commit=Commit(id=f"{number:040x}"),
        image=Image(repository="registry.test/hello", digest=f"sha256:{number:064x}"),
        workload=Workload(),
        sequence=number,
    )


class LaneMachine(RuleBasedStateMachine):
    """Drives the rules as the Lane workflow does: requests and orders at any time, one deployment at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LaneState()
        self.running: Revision | None = None
        self.ids = 0
        self.unsettled: dict[str, str] = {}
        self.clock = 0.0
        self.went_back_from = 0
        self.requests: list[LaneRequest] = []
        self.orders: list[Order] = []

    def next_id(self) -> str:
        self.ids += 1
        return str(self.ids)

    def send(self, request: LaneRequest) -> None:
        for promotion, settled in take_request(self.state, request):
            if settled.result != "held":
                assert self.unsettled.pop(settled.request) == promotion

    @rule(number=st.integers(1, 12), kind=st.sampled_from(["deploy", "candidate"]))
    def promote(self, number: int, kind: str) -> None:
        identity = self.next_id()
        request = LaneRequest.model_validate(
            {
                "id": identity,
                "kind": kind,
                "component": COMPONENT,
                "step": STEP,
                "release": release(number),
                "promotion": f"p{identity}",
            }
        )
        self.unsettled[identity] = request.promotion
        self.requests.append(request)
        self.send(request)

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same request again, however late, changes nothing."""
        before = self.state.model_copy(deep=True)
        assert take_request(self.state, data.draw(st.sampled_from(self.requests))) == []
        assert self.state == before

    @rule(kind=st.sampled_from(["hold", "resume", "rollback"]), revision=st.integers(0, 6))
    def steer(self, kind: str, revision: int) -> None:
        order = Order.model_validate({"id": self.next_id(), "kind": kind, "actor": PERSON, "revision": revision})
        present = self.running.release if self.running else self.state.current
        refused = refuse_order(self.state, order)
        if refused is not None:
            return
        answer = take_order(self.state, order, self.clock)
        assert answer.accepted
        if kind == "rollback":
            assert present is not None
            self.went_back_from = max(self.went_back_from, present.sequence)
            assert self.state.hold is not None
        before = self.state.model_copy(deep=True)
        take_order(self.state, order, self.clock)
        assert self.state == before, "the same order again changes nothing"

    @precondition(lambda self: self.running is None and next_up(self.state) is not None)
    @rule()
    def start(self) -> None:
        work = next_up(self.state)
        assert work is not None
        if isinstance(work, LaneRequest):
            assert self.state.hold is None, "a hold stops automation"
            assert work.actor == AUTOMATION
            assert work.release.sequence > self.went_back_from, "automation undid a person's rollback"
        self.clock += 1
        self.running = begin(self.state, work, self.clock)
        if isinstance(work, LaneRequest):
            self.unsettled.pop(work.id)

    @precondition(lambda self: self.running is not None)
    @rule(result=st.sampled_from(["healthy", "rolled-back", "failed", "stuck", "cancelled"]))
    def end(self, result: str) -> None:
        assert self.running is not None
        good_before = self.state.last_good
        if result == "rolled-back" and (good_before is None or self.running.kind == "rollback"):
            result = "failed"
        self.clock += 1
        health = "healthy" if result == "healthy" else "unhealthy"
        verdict = Verdict.model_validate({"health": health, "reason": "R", "message": "m"})
        ended = RolloutResult.model_validate({"result": result, "verdict": verdict})
        finish(self.state, self.running, ended, self.clock)
        if result == "healthy":
            assert self.state.last_good == self.running.release
        else:
            assert self.state.last_good == good_before, "what was not healthy is never good"
        if result == "stuck" or (result == "failed" and self.running.kind == "rollback"):
            assert self.state.hold is not None, "going back failed: the lane stops"
        self.running = None

    @invariant()
    def one_deployment_at_a_time(self) -> None:
        under_way = [entry for entry in self.state.history if not entry.finished_at]
        assert len(under_way) == (1 if self.running else 0)

    @invariant()
    def only_the_newest_waits(self) -> None:
        assert len(self.state.waiting) <= 1
        assert len(self.state.candidates) <= 1

    @invariant()
    def every_promotion_is_settled_or_seen_waiting(self) -> None:
        waiting = {request.id for request in (*self.state.waiting, *self.state.candidates)}
        assert set(self.unsettled) == waiting


LaneMachine.TestCase.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
TestLane = LaneMachine.TestCase


@pytest.mark.parametrize(
    ("rule_name", "broken"),
    [
        ("_first_time", lambda _state, _request: True),
        ("_supersede_older", lambda _state, _request: []),
        ("next_up", lambda state: state.waiting[0] if state.waiting else None),
    ],
)
def test_a_broken_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, rule_name: str, broken: object) -> None:
    """The proof that the machine above can fail: take away the dedupe, the superseding, the hold."""
    monkeypatch.setattr(lane_rules, rule_name, broken)
    if rule_name in globals():
        monkeypatch.setitem(globals(), rule_name, broken)
    quick = settings(
        max_examples=200, stateful_step_count=40, deadline=None, database=None, phases=(Phase.generate,)
    )
    with pytest.raises(Exception):  # noqa: B017, PT011  (whichever promise breaks first)
        run_state_machine_as_test(LaneMachine, settings=quick)
