"""What people see of what senders announced."""

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.triggers.fakes import COMMIT
from tests.triggers.serving import Parts, authorized, serving
from triggers.commandline import app
from triggers.commandline.client import Api
from triggers.runs import Run
from workflows.attributes import attributes

REPOSITORY = "git.example/team/hello-world"


@pytest.fixture
def parts() -> Parts:
    given = Parts()
    known = attributes(repository=REPOSITORY, commit=COMMIT, stage="built")
    given.runs.put(Run(f"push/1/{COMMIT}", "COMPLETED", 1000, 1001, type="Delivery", attributes=known))
    given.runs.put(Run("change/1/12/d", "RUNNING", 3000, type="ChangeDelivery", attributes=known))
    other = attributes(repository="git.example/other", stage="accepted")
    given.runs.put(Run("deleted/2/x", "FAILED", 2000, 2001, type="Deletion", attributes=other))
    given.runs.put(Run("poison/github/ff", "COMPLETED", 500, 501, type="Poison", attributes=attributes()))
    given.runs.put(Run("lane/x/y", "RUNNING", 4000, type="Lane", attributes=known))
    return given


async def test_the_newest_events_come_first_and_nothing_else_is_one(tmp_path: Path, parts: Parts) -> None:
    async with serving(parts, tmp_path) as client:
        found = (await client.get("/api/v1/events", headers=authorized())).json()
        of_one = (
            await client.get("/api/v1/events", params={"repository": REPOSITORY}, headers=authorized())
        ).json()
    assert [(each["kind"], each["status"]) for each in found] == [
        ("change", "RUNNING"),
        ("deleted", "FAILED"),
        ("push", "COMPLETED"),
    ]
    assert [each["kind"] for each in of_one] == ["change", "push"]
    assert of_one[1]["commit"] == COMMIT
    assert of_one[1]["url"].startswith("http://ui.example/")


async def test_what_could_not_be_read_is_listed_by_itself(tmp_path: Path, parts: Parts) -> None:
    async with serving(parts, tmp_path) as client:
        query = {"poison": "true", "repository": REPOSITORY}
        found = (await client.get("/api/v1/events", params=query, headers=authorized())).json()
    assert [(each["kind"], each["workflow"]) for each in found] == [("poison", "poison/github/ff")]


@pytest.mark.parametrize(
    "query", [{"repository": 'x" OR WorkflowType != "'}, {"limit": "0"}, {"limit": "999"}, {"poison": "perhaps"}]
)
async def test_odd_questions_are_refused(tmp_path: Path, parts: Parts, query: dict[str, str]) -> None:
    async with serving(parts, tmp_path) as client:
        assert (await client.get("/api/v1/events", params=query, headers=authorized())).status_code == 422
        assert (await client.get("/api/v1/events")).status_code == 401


def test_events_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        event = {"workflow": "poison/github/ff", "kind": "poison", "status": "COMPLETED", "stage": "SetAside"}
        return httpx.Response(200, json=[event])

    http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://towpath")
    monkeypatch.setattr(Api, "from_environment", lambda: Api(http))
    result = CliRunner().invoke(app, ["events", "--poison", "-r", "git@git.example:team/hello-world.git"])
    assert result.exit_code == 0, result.output
    assert dict(asked[0].params) == {"repository": REPOSITORY, "poison": "true", "limit": "20"}
    header, row = result.output.splitlines()
    assert header.split() == ["AT", "KIND", "REPOSITORY", "COMMIT", "STATUS", "STAGE", "WORKFLOW"]
    assert row.split() == ["-", "poison", "-", "-", "completed", "SetAside", "poison/github/ff"]


def test_an_address_that_is_none_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["events", "-r", "ext://x"]).exit_code == 2
