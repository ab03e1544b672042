"""What waits for a subscriber: order, patience, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import outbox
from model.cloudevent import CloudEvent
from model.outbox import KEPT_SECONDS, REFUSED_LIMIT, WAITING_LIMIT, OutboxState, Sent, Trouble
from model.subscription import Subscription, SubscriptionKey

KEY = SubscriptionKey(namespace="default", name="chat")


def event(number: int, subject: str = "default/web") -> CloudEvent:
    return CloudEvent(
        id=f"{subject}#{number}", type="dev.towpath.build.started", source="/towpath", subject=subject, time="now"
    )


def box(*events: CloudEvent, now: float = 0) -> OutboxState:
    state = OutboxState(subscription=KEY)
    outbox.put(state, events, now)
    return state


def send(state: OutboxState, now: float, trouble: Trouble | None = None, delivered: int = 0) -> list[str]:
    """Send what is due; with trouble, only so many arrive."""
    batch = outbox.due(state, now)
    assert batch is not None
    ids = [each.id for line in batch.events for each in line]
    arrived = ids[:delivered] if trouble else ids
    outbox.settle(state, batch, Sent(delivered=tuple(arrived), troubles=(trouble,) if trouble else ()), now)
    return arrived


def test_what_is_put_in_twice_is_sent_once() -> None:
    state = box(event(1), event(1), event(2))
    outbox.put(state, [event(2)], 1)
    assert send(state, 1) == ["default/web#1", "default/web#2"]
    outbox.put(state, [event(1)], 2)
    assert outbox.due(state, 2) is None


def test_an_event_that_fails_holds_up_its_own_subject_only() -> None:
    state = box(event(1), event(2), event(1, "default/api"))
    batch = outbox.due(state, 0)
    assert batch is not None
    trouble = Trouble(subject="default/web", message="The sink answered 500.")
    outbox.settle(state, batch, Sent(delivered=("default/api#1",), troubles=(trouble,)), 0)
    assert (outbox.size(state), state.error, state.failing_since) == (2, trouble.message, 0)
    assert outbox.due(state, 0.5) is None
    assert outbox.wake_at(state) == 1
    assert send(state, 1) == ["default/web#1"]
    assert send(state, 1) == ["default/web#2"]
    assert state.failing_since == 0


def test_tries_are_further_and_further_apart_and_as_far_as_the_sink_asks() -> None:
    assert [outbox.pause(number) for number in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    state = box(event(1))
    send(state, 0, Trouble(subject="default/web", message="busy", retry_after=60))
    assert outbox.wake_at(state) == 60


def test_what_is_not_delivered_within_a_day_is_given_up_and_counted() -> None:
    state = box(event(1))
    outbox.put(state, [event(2)], 10)
    assert outbox.expire(state, KEPT_SECONDS - 1) == {}
    assert outbox.expire(state, KEPT_SECONDS) == {"expired": 1}
    assert (outbox.size(state), state.dropped) == (1, 1)


def test_an_event_that_the_sink_never_takes_lets_the_next_one_pass() -> None:
    state, now = box(event(1), event(2)), 0.0
    refusal = Trouble(subject="default/web", message="The sink answered 400.", refused=True)
    for _ in range(REFUSED_LIMIT):
        now = outbox.wake_at(state) or now
        send(state, now, refusal)
    assert state.dropped == 1
    assert send(state, now) == ["default/web#2"]


def test_a_dead_sink_never_holds_more_than_the_limit_and_loses_the_oldest() -> None:
    state = box(*(event(number) for number in range(WAITING_LIMIT + 5)))
    assert (outbox.size(state), state.dropped) == (WAITING_LIMIT, 5)
    assert send(state, 0)[0] == "default/web#5"


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 3), st.integers(0, 4), st.booleans()),
        max_size=60,
    )
)
def test_whatever_fails_each_subject_arrives_in_order_and_nothing_is_lost(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    state = OutboxState(subscription=KEY)
    now, number, arrived, put = 0.0, 0, [], []
    for subject, more, delivered, fails in steps:
        for _ in range(more):
            number += 1
            put.append(event(number, subject))
            outbox.put(state, [put[-1], put[-1]], now)
        batch = outbox.due(state, now)
        if batch is not None:
            sent: list[str] = []
            troubles = []
            for line in batch.events:
                count = min(delivered, len(line)) if fails else len(line)
                sent += [each.id for each in line[:count]]
                if count < len(line):
                    troubles.append(Trouble(subject=line[0].subject, message="down"))
            arrived += sent
            outbox.settle(state, batch, Sent(delivered=tuple(sent), troubles=tuple(troubles)), now)
        now = max(now, outbox.wake_at(state) or now)
    waiting = [each.event.id for line in state.lines.values() for each in line.waiting]
    assert sorted(arrived + waiting) == sorted(each.id for each in put)
    for subject in ("a", "b", "c"):
        mine = [each.id for each in put if each.subject == subject]
        assert [each for each in arrived if each.startswith(f"{subject}#")] == mine[
            : len([each for each in arrived if each.startswith(f"{subject}#")])
        ]


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, True),
        ({"types": ("dev.towpath.build.*",)}, True),
        ({"types": ("dev.towpath.deployment.*", "dev.towpath.build.started")}, True),
        ({"types": ("dev.towpath.build",)}, False),
        ({"projects": ("default",)}, True),
        ({"projects": ("other",)}, False),
        ({"components": ("web",)}, True),
        ({"components": ("api",)}, False),
        ({"key": SubscriptionKey(namespace="other", name="chat")}, False),
    ],
)
def test_a_subscriber_gets_what_it_asked_for_of_its_own_namespace(
    changed: dict[str, object], wanted: bool
) -> None:
    subscription = Subscription(key=KEY, sink="https://sink.example").model_copy(update=changed)
    assert subscription.wants(event(1).model_copy(update={"project": "default"})) is wanted
