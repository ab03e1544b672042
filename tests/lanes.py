"""A random life of a lane, against its promises: what Hypothesis drives in tests and in the benchmark.

The machine does with the rules what the Lane workflow does, and keeps its own book of what people and
promotions were promised. It never reads a rule to decide whether a rule was kept.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from model import lane_orders, lane_queue, lane_rules
from model.actor import AUTOMATION, Actor
from model.commit import Commit
from model.component import Component
from model.image import Image
from model.key import ComponentKey
from model.lane import RULES, LaneRequest, LaneState, Order, Revision
from model.lane_answers import Notices
from model.pipeline import EnvironmentStep
from model.policy import StepPolicy
from model.release import Release
from model.rollout import RolloutResult
from model.verdict import Verdict
from model.vigil import Alarm
from model.workload import Workload

KEY = ComponentKey(name="hello")
COMPONENT = Component(key=KEY)
STEP = EnvironmentStep(environment="production")
GATED = EnvironmentStep(environment="production", policy=StepPolicy(approvals=1))
PERSON = Actor(kind="person", name="alice")
UNHEALTHY = Verdict(health="unhealthy", reason="R", message="m")
BACK = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""How far behind the newest push a release is."""

RESULTS = st.sampled_from(["healthy"] * 4 + ["rolled-back", "failed", "stuck", "cancelled"] + ["inconclusive"] * 2)


def release(number: int) -> Release:
    """The release of the n-th push."""
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
    """Pushes, approvals, pins, holds, marks, failures, rollbacks, alarms, compensations and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LaneState(rules=RULES)
        self.running: Revision | None = None
        self.ids = 0
        self.clock = 0.0
        self.unsettled: dict[str, LaneRequest] = {}
        self.sent: list[LaneRequest] = []
        self.orders: list[Order] = []
        self.approved: set[str] = set()
        self.left: int = 0
        self.bad: set[str] = set()
        self.outlasted: set[str] = set()
        self.newest = 1

    def number(self, back: int) -> int:
        return max(1, self.newest - back)

    def next_id(self) -> str:
        self.ids += 1
        return str(self.ids)

    def hear(self, notices: Notices) -> None:
        """What promotions are told: each request is answered once for all, by the name of who asked."""
        for promotion, settled in notices:
            if settled.result == "held":
                assert self.state.hold is not None
                continue
            if settled.result == "handed-back":
                assert self.state.hold is None
                assert settled.request in self.outlasted
                continue
            asked = self.unsettled.pop(settled.request)
            assert asked.promotion == promotion

    def settle(self) -> None:
        self.clock += 1
        self.note_who_waits()
        self.hear(lane_queue.settle(self.state, self.clock))
        self.note_who_waits()

    def note_who_waits(self) -> None:
        """Whoever is past the gate and not begun while there is a hold may not go in on old words."""
        if self.state.hold is None:
            return
        begun = {entry.request for entry in self.state.history}
        past = {each.id for each in self.unsettled.values() if each.hand_back and each.kind == "deploy"}
        self.outlasted |= past - begun

    def send(self, **fields: object) -> LaneRequest:
        identity = self.next_id()
        asked = LaneRequest.model_validate(
            {"id": identity, "component": COMPONENT, "step": STEP, "promotion": f"p{identity}", **fields}
        )
        self.sent.append(asked)
        if asked.kind != "withdraw":
            self.unsettled[identity] = asked
        self.note_who_waits()
        self.hear(lane_queue.take_request(self.state, asked))
        self.settle()
        return asked

    @rule(back=BACK, pinned=st.sampled_from([False, False, True]), hand_back=st.booleans())
    def push(self, back: int, pinned: bool, hand_back: bool) -> None:
        """A release comes straight to the lane."""
        self.newest += back == 0
        wanted = release(self.number(back))
        self.approved.add(wanted.name)
        self.send(kind="deploy", release=wanted, pinned=pinned, hand_back=hand_back)

    @rule()
    def deploy_at_once(self) -> None:
        """The plain case: the newest release comes, and is healthy when nothing stands in its way."""
        self.push(0, False, True)
        for _ in range(2):
            self.proceed("healthy")

    @rule(back=BACK, person=st.booleans(), pinned=st.sampled_from([False, False, True]))
    def come_to_the_gate(self, back: int, person: bool, pinned: bool) -> None:
        actor = PERSON if person else AUTOMATION
        self.send(kind="candidate", release=release(self.number(back)), actor=actor, pinned=pinned)

    @precondition(lambda self: self.state.candidates)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        """One of those at the gate may go on: the same promotion asks for its deployment."""
        waiting = data.draw(st.sampled_from(self.state.candidates))
        self.unsettled.pop(waiting.id)
        self.approved.add(waiting.release.name)
        fields = waiting.model_dump(include={"release", "actor", "pinned", "promotion"})
        self.send(kind="deploy", hand_back=True, **fields)

    @rule(back=BACK, allow_older=st.booleans())
    def promote_by_hand(self, back: int, allow_older: bool) -> None:
        number = self.number(back)
        good = self.state.last_good
        self.approved.add(release(number).name)
        sent = self.send(kind="deploy", release=release(number), actor=PERSON, allow_older=allow_older)
        if good is not None and number < good.sequence and not allow_older:
            assert sent.id not in self.unsettled, "an older release needs a word"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """The same request again, however late, changes nothing."""
        before = self.state.model_dump_json()
        assert lane_queue.take_request(self.state, data.draw(st.sampled_from(self.sent))) == []
        assert self.state.model_dump_json() == before

    @precondition(lambda self: self.unsettled)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """A promotion is cancelled; a compensation is not taken back by that."""
        asked = data.draw(st.sampled_from(list(self.unsettled.values())))
        self.send(kind="withdraw", release=asked.release, promotion=asked.promotion)
        waits = {each.id for each in (*self.state.candidates, *self.state.waiting)}
        undecided = self.state.undecided.id if self.state.undecided else ""
        if asked.kind != "restore" and asked.id != undecided and asked.id not in waits:
            self.unsettled.pop(asked.id, None)

    @precondition(lambda self: any(sent.kind == "deploy" for sent in self.sent))
    @rule(data=st.data())
    def take_back_a_set(self, data: st.DataObject) -> None:
        of = data.draw(st.sampled_from([sent for sent in self.sent if sent.kind == "deploy"]))
        floor = self.state.floor
        self.send(kind="restore", release=of.release, undo_of=of.id, set="set")
        assert self.state.floor == floor

    @rule(
        kind=st.sampled_from(["hold", "resume", "rollback", "undo", "deploy", "accept", "pin", "unpin"]),
        revision=st.sampled_from([0, 0, 1, 2, 3, 5, 8]),
        back=BACK,
        allow_older=st.booleans(),
        named=st.booleans(),
    )
    def steer(self, kind: str, revision: int, back: int, allow_older: bool, named: bool) -> None:
        number = self.number(back)
        wanted = release(number) if kind == "deploy" or (named and kind in ("pin", "unpin")) else None
        order = Order.model_validate(
            {
                "id": self.next_id(),
                "kind": kind,
                "actor": PERSON,
                "revision": revision if kind == "rollback" else 0,
                "release": wanted,
                "allow_older": allow_older,
            }
        )
        here = {each.release.sequence for each in (self.running,) if each} | (
            {self.state.current.sequence} if self.state.current else set()
        )
        good = self.state.last_good
        if lane_orders.refuse_order(self.state, order) is not None:
            return
        if kind == "deploy":
            assert wanted is not None
            assert wanted.name not in self.bad, "nobody deploys what is marked bad"
            assert good is None or number >= good.sequence or allow_older, "an older release needs a word"
            self.approved.add(wanted.name)
        self.take(order)
        if kind in ("rollback", "undo"):
            self.left = max(self.left, *here)
            assert self.state.hold is not None
            assert lane_rules.next_up(self.state) == self.state.orders[0], "going back waits for nothing"
        if kind == "accept":
            assert self.state.last_good == self.state.current

    def take(self, order: Order) -> None:
        answer, notices = lane_orders.take_order(self.state, order, self.clock)
        assert answer.accepted
        self.hear(notices)
        self.settle()
        self.orders.append(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def repeat_an_order(self, data: st.DataObject) -> None:
        before = self.state.model_dump_json()
        answer, notices = lane_orders.take_order(self.state, data.draw(st.sampled_from(self.orders)), self.clock)
        assert (answer.reason, notices) == ("AlreadyAccepted", [])
        assert self.state.model_dump_json() == before, "the same order again changes nothing"

    @rule(back=BACK, good=st.booleans())
    def mark(self, back: int, good: bool) -> None:
        number = self.number(back)
        kind = "mark-good" if good else "mark-bad"
        order = Order.model_validate(
            {"id": self.next_id(), "kind": kind, "actor": PERSON, "release": release(number), "reason": "r"}
        )
        assert lane_orders.refuse_order(self.state, order) is None
        (self.bad.discard if good else self.bad.add)(release(number).name)
        self.take(order)

    @precondition(lambda self: any(entry.result == "healthy" for entry in self.state.history))
    @rule(data=st.data(), twice=st.booleans())
    def alarm(self, data: st.DataObject, twice: bool) -> None:
        """What a Vigil watches, rightly or late, turns unhealthy."""
        healthy = self.healthy()
        deployed = [entry.number for entry in healthy]
        # Most often for what runs, whose Vigil it is; sometimes late, for what has gone.
        late = data.draw(st.sampled_from(deployed[-1:] * 3 + deployed))
        alarm = Alarm(id=self.next_id(), revision=late, verdict=UNHEALTHY)
        runs_alone = self.running is None and [self.state.history[-1]] == healthy
        assert lane_queue.take_alarm(self.state, alarm)
        if twice:
            assert not lane_queue.take_alarm(self.state, alarm)
        self.settle()
        if runs_alone:
            assert self.healthy() == [], "what alarms is good no more"
            assert self.state.hold is not None, "there is nothing to go back to: a person must decide"

    @rule()
    def restart(self) -> None:
        """The worker dies and the state is read again; between deployments the run may be renewed as well."""
        before = self.state
        self.state = LaneState.model_validate_json(self.state.model_dump_json())
        if self.running is None:
            self.state = lane_rules.renewed(self.state)
        assert self.state == before

    @precondition(lambda self: self.running is not None or lane_rules.next_up(self.state) is not None)
    @rule(result=RESULTS)
    def proceed(self, result: str) -> None:
        """What is to come begins; what is under way ends."""
        if self.running is None:
            self.start()
        else:
            self.end(result)

    def start(self) -> None:
        self.settle()
        work = lane_rules.next_up(self.state)
        if work is None:
            return
        good, current, last_good = self.healthy(), self.state.current, self.state.last_good
        self.clock += 1
        self.running = revision = lane_rules.begin(self.state, work, self.clock)
        starts = revision.release
        assert starts.name not in self.bad or isinstance(work, Order), "nothing promotes what is marked bad"
        assert starts.name in self.approved, "what runs was approved, or ran before"
        if revision.kind == "rollback":
            assert any(entry.number == revision.restored and entry.release == starts for entry in good)
            assert current is None or isinstance(work, Order) or starts.name != current.name
            if isinstance(work, Alarm):
                assert revision.restored < work.revision
                assert all(entry.number != work.revision for entry in self.healthy())
                self.left = max(self.left, next(e for e in good if e.number == work.revision).release.sequence)
        elif revision.actor == AUTOMATION:
            assert starts.sequence > self.left, "automation undid a way back"
            assert current is None or starts.sequence >= current.sequence, "an older head won"
            assert last_good is None or starts.sequence >= last_good.sequence
        if not isinstance(work, Order):
            assert self.state.hold is None, "a hold stops automation"
        if isinstance(work, LaneRequest):
            assert work.kind in ("deploy", "restore"), "who waits at the gate is not deployed"
            assert work.id not in self.outlasted, "what was let in before a hold was not judged again after it"

    def healthy(self) -> list[Revision]:
        return [entry for entry in self.state.history if entry.result == "healthy"]

    def end(self, result: str) -> None:
        assert self.running is not None
        running, good = self.running, self.state.last_good
        if result == "rolled-back" and (good is None or running.kind == "rollback"):
            result = "failed"
        if lane_rules.gives_way(self.state):
            result = "cancelled"
        self.clock += 1
        health = "healthy" if result == "healthy" else "unhealthy"
        verdict = Verdict.model_validate({"health": health, "reason": "R", "message": "m"})
        ended = RolloutResult.model_validate({"result": result, "verdict": verdict})
        closed = lane_rules.finish(self.state, running, ended, self.clock, good)
        asked = self.unsettled.get(running.request)
        self.hear(lane_rules.settle_undecided(self.state, closed, asked))
        if asked is not None and result != "inconclusive":
            self.unsettled.pop(asked.id)
        self.running = None
        if result == "healthy":
            assert running.release.name in self.bad or self.state.last_good == running.release
        else:
            assert self.state.last_good == good, "what was not healthy is never good"
        if result in ("stuck", "inconclusive") or (result == "failed" and running.kind == "rollback"):
            assert self.state.hold is not None, "going back failed, or nobody can tell: the lane stops"
        self.settle()

    @invariant()
    def one_deployment_at_a_time(self) -> None:
        under_way = [entry for entry in self.state.history if not entry.finished_at]
        assert len(under_way) == (1 if self.running else 0)

    @invariant()
    def only_the_newest_waits_but_for_what_is_pinned(self) -> None:
        for queue in (self.state.waiting, self.state.candidates):
            loose = [
                each for each in queue if not each.pinned and each.kind != "restore" and each.actor == AUTOMATION
            ]
            assert len(loose) <= 1

    @invariant()
    def what_a_hold_keeps_stands_before_the_gate(self) -> None:
        if self.state.hold is not None:
            assert not any(each.hand_back for each in self.state.waiting)

    @invariant()
    def what_is_good_was_healthy_and_is_not_bad(self) -> None:
        good = self.state.last_good
        if good is not None:
            assert good.name not in self.bad
            assert any(entry.release == good for entry in self.healthy())

    @invariant()
    def every_promotion_is_settled_or_seen(self) -> None:
        seen = {request.id for request in (*self.state.waiting, *self.state.candidates)}
        if self.state.undecided is not None:
            assert self.state.undecided.id not in seen
            seen.add(self.state.undecided.id)
        if self.running is not None and self.running.request in self.unsettled:
            seen.add(self.running.request)
        assert set(self.unsettled) == seen

    @invariant()
    def nothing_waits_without_a_reason(self) -> None:
        if self.state.waiting and self.running is None and self.state.hold is None:
            assert lane_rules.next_up(self.state) is not None
