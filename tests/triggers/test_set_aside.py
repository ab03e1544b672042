"""Deliveries that break our reading, and deliveries of which only a part can be stored."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from model.failure import InfrastructureFailure
from model.poison import Poison
from tests.triggers.dialects import NEWER, OLDER, bitbucket_cloud, github, vouched
from tests.triggers.fakes import FakeStarter
from tests.triggers.serving import SECRET, Parts, serving
from triggers.server import PROVIDERS
from triggers.starter import Started, Stored
from triggers.webhooks.document import Document

CANARY = "canary-in-the-body"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub's parser has a mistake."""
    provider = next(each for each in PROVIDERS if each.name == "github")

    def parse(headers: Mapping[str, str], document: Document) -> NoReturn:
        raise KeyError(document.find("secret"))

    monkeypatch.setattr(provider, "parse", parse)


def poisonous() -> Any:
    delivery = github.push()
    delivery.content["secret"] = CANARY
    return delivery


@pytest.mark.usefixtures("broken")
async def test_what_breaks_our_reading_is_set_aside_and_stops_nothing(tmp_path: Path) -> None:
    parts, delivery = Parts(), poisonous()
    with structlog.testing.capture_logs() as logged:
        async with serving(parts, tmp_path) as client:
            for _ in range(2):
                answer = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
                assert (answer.status_code, answer.json()["reason"]) == (422, "PoisonEvent")
            other = bitbucket_cloud.push()
            taken = await client.post(other.path, content=other.body, headers=vouched(other, SECRET))
            counted = (await client.get("/metrics")).text
    assert taken.status_code == 202
    kept = {workflow: each for workflow, each in parts.starter.events.items() if isinstance(each, Poison)}
    ((workflow, poison),) = kept.items()
    assert workflow == f"poison/github/{poison.digest}"
    assert workflow in answer.json()["detail"]
    assert (poison.provider, poison.event, poison.size) == ("github", "push", len(delivery.body))
    assert poison.delivery == delivery.headers["X-GitHub-Delivery"]
    assert (poison.error, poison.place.partition(":")[0]) == ("KeyError", "test_set_aside")
    assert CANARY not in poison.model_dump_json() + json.dumps(logged, default=str) + answer.text
    assert 'towpath_webhooks_total{outcome="PoisonEvent",provider="github"} 2.0' in counted


@pytest.mark.usefixtures("broken")
async def test_strangers_cannot_fill_the_store(tmp_path: Path) -> None:
    parts, delivery = Parts(), poisonous()
    async with serving(parts, tmp_path) as client:
        for headers in (vouched(delivery, "guessed"), delivery.headers):
            answer = await client.post(delivery.path, content=delivery.body, headers=headers)
            assert answer.status_code == 401
    assert not parts.starter.events


@pytest.mark.usefixtures("broken")
async def test_what_cannot_be_set_aside_is_to_be_sent_again(tmp_path: Path) -> None:
    parts, delivery = Parts(), poisonous()
    parts.starter.down = True
    async with serving(parts, tmp_path) as client:
        answer = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
    assert (answer.status_code, answer.json()["reason"]) == (503, "TemporalUnavailable")
    assert "Retry-After" in answer.headers


class HalfDown(FakeStarter):
    """Takes tags only, until it is mended."""

    mended = False

    async def start(self, event: Stored, workflow: str) -> Started:
        if "refs/tags" not in workflow and not self.mended:
            raise InfrastructureFailure("TemporalUnavailable", "Temporal did not take the event.")
        return await super().start(event, workflow)


async def test_a_delivery_of_which_a_part_is_not_stored_is_not_acknowledged(tmp_path: Path) -> None:
    delivery = bitbucket_cloud.pushes(
        bitbucket_cloud.moved("refs/tags/v1", OLDER, NEWER), bitbucket_cloud.moved("refs/heads/main", OLDER, NEWER)
    )
    starter = HalfDown()
    async with serving(Parts(starter=starter), tmp_path) as client:
        first = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
        assert first.status_code == 503
        starter.mended = True
        again = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
    assert again.status_code == 202
    assert [each["duplicate"] for each in again.json()["all"]] == [True, False]
    assert len(starter.started) == 2


async def test_all_that_one_delivery_tells_is_started(tmp_path: Path) -> None:
    parts = Parts()
    refs = [f"refs/heads/branch-{number}" for number in range(100)]
    delivery = bitbucket_cloud.pushes(*[bitbucket_cloud.moved(ref, OLDER, NEWER) for ref in refs])
    async with serving(parts, tmp_path) as client:
        answer = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
    assert answer.status_code == 202
    started = [event.ref for event in parts.starter.started.values()]
    assert started == refs
    orders = [event.sequence for event in parts.starter.started.values()]
    assert orders == sorted(set(orders))


async def test_a_name_too_long_for_temporal_is_cut_and_stays_unlike_others(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        for last in "ab":
            delivery = github.push(ref="refs/heads/" + "ü" * 110 + last)
            answer = await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
            assert answer.status_code == 202
    assert len(parts.starter.events) == 2
    assert all(len(workflow.encode()) < 1000 for workflow in parts.starter.events)
