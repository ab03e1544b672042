"""A delivery that breaks our reading is kept for good, where people find it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.triggers.dialects import github, vouched
from tests.triggers.serving import SECRET, Parts, serving
from tests.workflows.conftest import Serve
from tests.workflows.world import World
from triggers.server import PROVIDERS
from triggers.starter import TemporalStarter
from triggers.webhooks.document import Document


async def test_what_could_not_be_read_is_a_run_of_its_own(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(headers: Mapping[str, str], document: Document) -> NoReturn:
        raise KeyError("canary")

    monkeypatch.setattr(next(each for each in PROVIDERS if each.name == "github"), "parse", parse)
    delivery = github.push()
    async with serve(World()) as environment:
        starter = TemporalStarter(environment.client)
        async with serving(Parts(), tmp_path, starter=starter) as client:
            answers = [
                await client.post(delivery.path, content=delivery.body, headers=vouched(delivery, SECRET))
                for _ in range(2)
            ]
        assert [answer.status_code for answer in answers] == [422, 422]
        workflow = answers[0].json()["detail"].split()[-1].removesuffix(".")
        handle = environment.client.get_workflow_handle(workflow)
        assert await handle.result() == "SetAside"
        history = await handle.fetch_history()
    kept = history.events[0].workflow_execution_started_event_attributes.input.payloads[0].data.decode()
    assert '"error":"KeyError"' in kept
    assert "canary" not in kept
    assert delivery.content["after"] not in kept
