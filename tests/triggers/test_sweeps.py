"""A look at a repository that people ask for, by the API and the command line."""

from pathlib import Path

from model import ids
from model.sweep import SweepRequest, SweepState, Swept
from tests.triggers.fakes import COMMIT, URL
from tests.triggers.serving import Parts, authorized, serving
from triggers.runs import Run

REPOSITORY = "git.example/team/hello-world"
NAME = ids.sweep(REPOSITORY, "asked/once")


def swept(parts: Parts, **changed: object) -> None:
    request = SweepRequest(repository=REPOSITORY, because="asked")
    found = Swept(found="push", subject="refs/heads/main", commit=COMMIT, workflow="push/x", result="started")
    state = SweepState(request=request, outcome="Found", message="1 of 2", refs=2, started=1, found=[found])
    parts.runs.put(Run(NAME, "COMPLETED", 1.0), state=state.model_copy(update=changed))


async def test_a_person_has_a_repository_looked_at_once_a_request(tmp_path: Path) -> None:
    parts = Parts()
    headers = {**authorized(), "Idempotency-Key": "once"}
    async with serving(parts, tmp_path) as client:
        answers = [
            await client.post("/api/v1/sweeps", json={"repository": URL}, headers=headers) for _ in range(2)
        ]
        swept(parts)
        state = await client.get("/api/v1/sweeps/once", params={"repository": URL}, headers=authorized())
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True]
    assert {answer.json()["workflow"] for answer in answers} == {NAME}
    [look] = [event for event in parts.starter.events.values() if isinstance(event, SweepRequest)]
    assert (look.repository, look.because, look.refs) == (REPOSITORY, "asked", ())
    assert look.actor.name, "who asked is kept"
    shown = state.json()
    assert (shown["outcome"], shown["open"], shown["found"][0]["commit"]) == ("Found", False, COMMIT)


async def test_nobody_looks_at_repositories_that_nobody_declared(tmp_path: Path) -> None:
    parts = Parts()
    async with serving(parts, tmp_path) as client:
        unknown = await client.post(
            "/api/v1/sweeps", json={"repository": "https://git.example/other/app"}, headers=authorized()
        )
        bad = await client.post("/api/v1/sweeps", json={"repository": "file:///etc"}, headers=authorized())
        stranger = await client.post("/api/v1/sweeps", json={"repository": URL})
        never = await client.get("/api/v1/sweeps/never", params={"repository": URL}, headers=authorized())
    reasons = [answer.json().get("reason") for answer in (unknown, bad, stranger, never)]
    assert [answer.status_code for answer in (unknown, bad, stranger, never)] == [404, 400, 401, 404], reasons
    assert parts.starter.events == {}
